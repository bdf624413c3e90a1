"""The report's style sheet: light, dark and print, without any outside resource.

Colours are told apart with red-green and blue-yellow colour blindness too: hues after Okabe and Ito ("Color Universal
Design", 2008), lightened for dark grounds and darkened for light ones, never the only sign: dashes, symbols and words
say the same.
"""

from __future__ import annotations

_ON_LIGHT = (
    "--t0:#c62828;--t1:#a3149c;--t2:#b25000;--o0:#0062a3;--o1:#00775a;--o2:#6a3fb5;--o3:#0d8ba8;--o4:#5f6b00;"
    "--o5:#8d5524;--o6:#3b3b98;--o7:#4f5d67;--body:#7b8794;"
)
_ON_DARK = (
    "--t0:#ff5c5c;--t1:#ff7ae5;--t2:#ff9d45;--o0:#5cc8ff;--o1:#3ddc97;--o2:#c3a6ff;--o3:#7fe7f5;--o4:#d4e157;"
    "--o5:#e0b084;--o6:#9fb4ff;--o7:#e3e8ec;--body:#a9b4be;"
)
_LIGHT = (
    "--paper:#fff;--panel:#f5f7f9;--ink:#16202a;--quiet:#52606d;--line:#d5dce3;--accent:#005f8a;--good:#00694f;"
    "--good-bg:#e1f3ed;--bad:#a8321a;--bad-bg:#fbe7e1;--warn-bg:#fff3d1;--warn:#6b4e00;" + _ON_LIGHT
)
_DARK = (
    "--paper:#12171c;--panel:#1b2229;--ink:#e6ebf0;--quiet:#a3b0bc;--line:#34404b;--accent:#6cc6f2;--good:#5fdcb4;"
    "--good-bg:#12332b;--bad:#ff9f86;--bad-bg:#40201a;--warn-bg:#3a3014;--warn:#ffdf8a;" + _ON_DARK
)

STYLE = (
    ":root{color-scheme:light dark;"
    + _LIGHT
    + "}@media screen and (prefers-color-scheme:dark){:root{"
    + _DARK
    + "}}.view{"
    + _ON_DARK
    + """}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.research{margin:0;background:var(--warn-bg);color:var(--warn);text-align:center;font-weight:700;padding:.45rem 1rem}
main,header.top{max-width:1240px;margin:0 auto;padding:0 28px}
header.top{padding-top:26px}
header.top p.brand{margin:0;color:var(--quiet);letter-spacing:.08em;text-transform:uppercase;font-size:12px}
h1{font-size:28px;line-height:1.2;margin:.15em 0 .5em;font-weight:650}
h2{font-size:19px;margin:0 0 .7em;padding-bottom:.3em;border-bottom:2px solid var(--line);font-weight:650}
h3{font-size:15px;margin:1.4em 0 .5em}
section{margin:36px 0;break-inside:auto}
p.note,ul.note,ol.note,figcaption,caption{color:var(--quiet);font-size:13px}
dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:4px 28px;margin:0}
dl.facts div{display:flex;gap:10px;border-bottom:1px solid var(--line);padding:3px 0}
dl.facts dt{color:var(--quiet);min-width:104px}
dl.facts dd{margin:0;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(5,1fr);gap:14px;margin:22px 0 0;padding:0;list-style:none}
.tiles li{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px 16px}
.tiles b{display:block;font-size:25px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.tiles span{display:block;color:var(--quiet);font-size:13px}
.tiles li.good{border-left:5px solid var(--good)}.tiles li.bad{border-left:5px solid var(--bad)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:0 0 6px}
th,td{text-align:left;padding:6px 12px 6px 8px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{font-size:13px;color:var(--quiet);font-weight:600;border-bottom:2px solid var(--line);vertical-align:bottom}
tbody th{font-weight:600}
.n{text-align:right}
td b.v{font-weight:650}
.tag{display:inline-block;border-radius:4px;padding:0 8px;font-weight:650;font-size:13px;white-space:nowrap}
.tag.good{background:var(--good-bg);color:var(--good)}.tag.warn{background:var(--warn-bg);color:var(--warn)}
.tag.bad{background:var(--bad-bg);color:var(--bad)}
.goals td,td.n{white-space:nowrap}.goals .endpoint{white-space:normal}
.score{vertical-align:middle}.score .track{fill:var(--line)}.score .full{fill:var(--accent)}
.note{color:var(--quiet);font-size:13px}.findings{padding-left:0;list-style:none}.findings li{margin:6px 0}
sup a{color:var(--accent);text-decoration:none}
code{font:13px ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
figure{margin:0}
svg text{font-family:inherit;fill:currentColor}
#dvh .scroll{margin-top:22px}
.dvh{display:block;width:100%;height:auto;color:var(--quiet)}
.dvh .grid{stroke:var(--line);stroke-width:1}.dvh .axis{stroke:var(--quiet);stroke-width:1.2;fill:none}
.dvh .curve{fill:none;stroke-width:1.8}.dvh .target{stroke-width:2.6}
.dvh .scheduled{stroke-width:1;opacity:.75}
.dvh path:hover{stroke-width:4}.dvh .band:hover path{stroke-width:1.8}
p.never{max-width:90ch}
.swatch{display:inline-block;vertical-align:middle;margin-right:8px}
.views{display:grid;grid-template-columns:repeat(3,1fr);gap:18px}
.view{background:#000;color:#f2f5f7;border-radius:6px;overflow:hidden;break-inside:avoid}
.view>svg{display:block;width:100%;height:auto;background:#000}
.view figcaption{color:#d9e1e7;background:#1d242b;padding:6px 12px}
.views.pair{grid-template-columns:repeat(2,1fr);margin-bottom:12px}
.view .roi{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}
.view .iso{fill:none;vector-effect:non-scaling-stroke}
.key{display:flex;flex-wrap:wrap;gap:5px 20px;margin:12px 0 0;padding:9px 14px;list-style:none;
font-size:13px;
background:#1d242b;color:#e6ebf0;border-radius:6px}
.beams{display:grid;gap:14px}
.apertures{display:flex;flex-wrap:wrap;gap:8px 10px;margin:8px 0 0;padding:0;list-style:none}
.apertures li{text-align:center;font-size:12px;color:var(--quiet);break-inside:avoid}
.apertures svg{display:block;background:var(--panel);border:1px solid var(--line)}
.apertures .open{fill:var(--accent);fill-opacity:.85}.apertures .jaw{fill:none;stroke:var(--quiet);stroke-width:1.2}
.apertures .axis{stroke:var(--bad);stroke-width:1}
.timing rect{fill:var(--accent)}.timing .track{fill:var(--panel)}
.timing{display:block;width:100%;height:auto;color:var(--ink)}
.storyline .way{stroke:var(--accent);stroke-width:1.6}
.storyline .mark{fill:var(--paper);stroke:var(--accent);stroke-width:1.8}.storyline .kept{fill:var(--accent)}
.storyline .hot{stroke:var(--bad)}.storyline .warn{fill:var(--bad);font-weight:700}
.storyline .met{fill:var(--accent);fill-opacity:.55}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,290px));gap:14px}
.panels div{break-inside:avoid}.panels p{margin:2px 0 0}.strip .curve{stroke-width:1.6}.strip .target{stroke-width:2.2}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;margin:10px 0 6px;padding:0;list-style:none;font-size:13px}
table.story ul{margin:2px 0;padding-left:18px}table.story td{min-width:64px}
details summary{cursor:pointer;color:var(--accent);font-size:13px}
footer{max-width:1240px;margin:0 auto;padding:12px 28px 40px;color:var(--quiet);font-size:13px}
@media screen and (max-width:900px){.views,.tiles{grid-template-columns:1fr 1fr}}
@media screen and (max-width:560px){.views,.tiles{grid-template-columns:1fr}}
@media print{@page{margin:14mm}body{font-size:11px;-webkit-print-color-adjust:exact;print-color-adjust:exact}
main,header.top,footer{max-width:none;padding:0}section{margin:18px 0}tr,figure,.apertures li{break-inside:avoid}
h1{font-size:20px}h2{font-size:15px}h2,h3{break-after:avoid}.tiles{gap:8px}.tiles li{padding:8px 10px}
.tiles b{font-size:16px}.tiles span,caption,figcaption,p.note,ul.note,ol.note,thead th,.tag,.key{font-size:10px}
th,td{padding:3px 8px 3px 4px}.views{gap:8px}dl.facts{grid-template-columns:repeat(3,1fr)}.apertures{gap:4px 5px}
.panels{grid-template-columns:repeat(5,1fr);gap:6px}.legend{font-size:10px}
table.story{font-size:9px}table.story th,table.story td{padding:2px 5px 2px 0;min-width:0}
table.story .note,table.story .tag,details summary{font-size:9px}
.apertures svg{width:48px;height:48px}.apertures li{font-size:8px}code{font-size:10px}}
"""
)
