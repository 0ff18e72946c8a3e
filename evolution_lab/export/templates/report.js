(() => {
  "use strict";
  const store = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const nodes = [...document.querySelectorAll("[data-figure]")];
  const drawn = new Set();
  let printing = false;

  const config = {
    displaylogo: false,
    responsive: true,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  };
  const layoutOf = (node) => ({
    ...store.figures[node.dataset.figure].layout,
    template: store.templates[dark.matches && !printing ? "dark" : "light"],
  });
  const draw = (node) => {
    const figure = store.figures[node.dataset.figure];
    if (!drawn.has(node)) {
      node.replaceChildren();
      drawn.add(node);
    }
    return window.Plotly.react(node, figure.data, layoutOf(node), config);
  };
  const redraw = () => drawn.forEach((node) => draw(node));

  // One figure a turn, from the top: the page answers while the rest is drawn.
  const next = (position) => {
    if (position < nodes.length) {
      draw(nodes[position]);
      window.setTimeout(next, 0, position + 1);
    } else {
      document.documentElement.dataset.drawn = String(drawn.size);
    }
  };

  // The policy of the page names the hash of what comes out: no other script could run.
  const unpack = async () => {
    const packed = document.getElementById("plotly");
    const bytes = Uint8Array.from(atob(packed.textContent), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    packed.remove();
    document.head.append(script);
  };
  unpack().then(() => next(0), () => {
    document.documentElement.dataset.drawn = "0"; // A browser that cannot unpack shows the trends.
  });

  dark.addEventListener("change", redraw);
  const print = (starts) => {
    printing = starts;
    document.querySelectorAll("details").forEach((node) => {
      if (starts && !node.open) {
        node.dataset.closed = "";
        node.open = true;
      } else if (!starts && "closed" in node.dataset) {
        delete node.dataset.closed;
        node.open = false;
      }
    });
    redraw();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
})();
