// Hosts the panel on a page of its own: messages go to /api with the token that the address brought.
import panel from "/panel.js";

const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? sessionStorage.getItem("token") ?? "";
if (token) sessionStorage.setItem("token", token);
history.replaceState(null, "", location.pathname);

const listeners = [];
const answered = (answer) => listeners.forEach((listener) => listener(answer));
const model = {
  on: (_, listener) => listeners.push(listener),
  async send(message) {
    try {
      const response = await fetch("/api", {
        method: "POST",
        headers: { "content-type": "application/json", "x-review-token": token },
        body: JSON.stringify(message),
      });
      const answer = await response.json();
      answered({ ...answer, number: message.number });
    } catch {
      answered({ error: "evolution-lab review does not answer any more.", number: message.number });
    }
  },
};
panel.render({ model, el: document.getElementById("panel") });
document.getElementById("panel").focus();
