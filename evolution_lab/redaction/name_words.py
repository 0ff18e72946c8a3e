"""Words that stand-ins of people and places are made of; invented, nobody's name in particular."""

from __future__ import annotations

from typing import Final


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAME_STEMS: Final = _listed(
    """
    Ador Albi Alde Amar Anse Arle Aste Auri Bali Bara Bela Beni Bero Bori Brani Cala Cari Cele
    Ceri Coli Cora Dali Dari Dela Deni Doma Dori Edri Elba Elmi Enda Eri Esta Fabe Fari Feli
    Fera Fila Flori Gali Gari Geni Gila Gori Hada Hali Hela Heri Hila Ida Ila Imo Ina Iri Ivo
    Jala Jari Jeli Jora Juli Kali Kara Keli Kira Kora Ladi Lari Leni Lila Lori Luci Madi Mali
    Mara Meli Mira Mori Nadi Nali Neri Nila Nori Odi Ola Omi Ori Osta Padi Pali Peri Pila Pori
    Quen Radi Rali Remi Rila Rori Sabi Sali Seli Sila Sori Tadi Tali Teri Tila Tori Udi Uli Uri
    Vadi Vali Veli Vila Vori Wadi Weli Wila Xeni Yara Yori Zadi Zali Zeli Zori
    """
)
NAME_MIDDLES: Final = _listed(
    """
    ba be bo da de do fa fe fo ga ge go ka ke ko la le lo ma me mo na ne no pa pe po ra re ro sa
    se so ta te to va ve vo wa we wo xa xe za ze zo bra dre fro gra kre lan mar nel por ran sol
    tan ver win zan bel dor fen gal
    """
)
NAME_ENDINGS: Final = _listed(
    """
    ban bek ben bert bor dal dan dell den dor fen fer ford gan gard gen han hart helm hold kan
    kell kin korn lan land lek len ler lin low man mark men mer mond nan nek nell nes nor pan
    per quist ran rek ren rick rin ros san sel sen ser son tan tek tell ten tor van vel ven ver
    vik win wood zan zel
    """
)
STREETS: Final = _listed(
    """
    Amber Anchor Apple Arbor Ash Aspen Barley Basin Beacon Birch Bramble Brook Canal Cedar
    Chapel Cherry Clover Copper Coral Cotton Dune Elder Elm Fern Field Flint Forge Garden
    Granite Grove Harbor Hazel Heather Hollow Ivy Juniper Lantern Larch Laurel Lilac Linden
    Maple Meadow Mill Moss Oak Olive Orchard Pebble Pine Poplar Quarry Reed Ridge River Rowan
    Sand Slate Spring Stone Thistle Valley Willow Yew
    """
)
STREET_KINDS: Final = _listed(
    """
    Street Road Lane Way Court Drive Row Place
    """
)
TOWNS: Final = _listed(
    """
    Alderby Ashmere Barrowick Beckfold Birchem Bramford Brightsea Calderon Cedarholm Clayborne
    Coldwick Cranmoor Dalebrook Dunmarsh Eastmere Elmhaven Fairwick Fenholm Foxdale Glenmarch
    Greywater Halstow Hartmoor Hazelby Highmarch Hollowell Inverdale Kestwick Kingsmoor Lakeholm
    Langmere Larkstead Lowmarsh Maplewick Marshfold Millhaven Moorgate Northmere Oakholm
    Oldmarch Pinewick Quarrydon Ravenholm Redmarsh Ridgeby Rosemere Sandholm Seaholm Silverby
    Southmere Stonewick Sunholm Thornby Timberdale Underhill Valemoor Westmarch Whitholm
    Wickmere Wildmoor Windholm Woodmarch Wrenfold Yewdale
    """
)
