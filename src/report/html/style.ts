/** The style sheet of the pages: system fonts, light and dark theme, nothing to download. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f7f7f5; --card: #fff; --ink: #1b1d21; --soft: #5d6470; --line: #e2e3e0; --wash: #f0f1ee;
  --accent: #1f5fd0; --warn: #9a5b00; --warn-wash: #fdf1dc; --bad: #b3261e; --bad-wash: #fdeceb;
  --good: #1c7a45; --good-wash: #e6f5ec; --one: #1f5fd0; --two: #c2410c; --three: #7a818c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121417; --card: #1a1d21; --ink: #e8eaed; --soft: #a0a7b2; --line: #30353c; --wash: #23272d;
    --accent: #7fb0ff; --warn: #f2b457; --warn-wash: #33270f; --bad: #ff8a80; --bad-wash: #3a1b19;
    --good: #6fd39a; --good-wash: #14301f; --one: #7fb0ff; --two: #ff9d66; --three: #8a929e;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: clamp(1.4rem, 1rem + 1.8vw, 2rem); line-height: 1.2; margin: .6rem 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .7rem; }
p { margin: .4rem 0; max-width: 75ch; }
code, .mono { font: .88em/1.5 ui-monospace, "Cascadia Code", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
.pill {
  display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .8rem; font-weight: 600;
  background: var(--wash); color: var(--soft); margin-right: .35rem;
}
.pill.critical { background: var(--bad-wash); color: var(--bad); }
.pill.warning { background: var(--warn-wash); color: var(--warn); }
.pill.clean { background: var(--good-wash); color: var(--good); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.25rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); margin-top: 1.2rem; }
.tile b { display: block; font-size: .78rem; color: var(--soft); margin-bottom: .15rem; }
.tile.wide { grid-column: 1 / -1; }
.tile.now { border-left: 4px solid var(--accent); }
.card.suspect { border-left: 4px solid var(--bad); }
.card.suspect h3 { margin: 0 0 .2rem; font-size: 1.25rem; overflow-wrap: anywhere; }
.location { font-size: 1rem; color: var(--accent); }
.path { list-style: none; display: flex; flex-wrap: wrap; gap: .4rem 0; padding: 0; margin: .9rem 0 .3rem; align-items: center; }
.path li { display: flex; align-items: center; max-width: 100%; }
.path li + li::before { content: ""; width: 1.1rem; height: 2px; background: var(--three); flex: none; }
.step { border: 1.5px solid var(--line); border-radius: .45rem; padding: .15rem .55rem; background: var(--wash); }
.step.container { border-color: var(--bad); background: var(--bad-wash); color: var(--bad); font-weight: 600; }
.step.retained { border-style: dashed; }
.step.not-leaking { border-color: var(--good); background: var(--good-wash); color: var(--good); }
.step.leaking { border-color: var(--bad); background: var(--bad-wash); color: var(--bad); font-weight: 600; }
.step.unknown { border-style: dashed; }
.path li + li.suspect::before { height: 0; background: none; border-top: 4px dotted var(--bad); width: 1.9rem; }
.key i.suspect { flex: none; height: 0; border-radius: 0; background: none; border-top: 4px dotted var(--bad); width: 1.9rem; }
.states { width: auto; margin: .2rem 0 .8rem; font-size: .875rem; }
.states td { border: 0; padding: .12rem .8rem .12rem 0; }
.states b.suspect { white-space: nowrap; }
b.suspect, .state.leaking { color: var(--bad); }
.state.not-leaking { color: var(--good); }
.state.unknown { color: var(--soft); }
.meter { display: inline-block; width: 5rem; height: .5rem; border-radius: .25rem; background: var(--wash); vertical-align: middle; overflow: hidden; margin-right: .4rem; }
.meter i { display: block; height: 100%; background: var(--accent); }
.charts { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { font-weight: 600; font-size: .9rem; margin-bottom: .4rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .one { stroke: var(--one); } svg .two { stroke: var(--two); } svg .three { stroke: var(--three); }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg path.three { stroke-dasharray: 4 3; }
.key { display: inline-flex; align-items: center; gap: .35rem; margin-right: .9rem; font-size: .8rem; color: var(--soft); font-weight: 400; }
.key i { width: .9rem; height: .2rem; border-radius: .1rem; background: var(--one); }
.key i.two { background: var(--two); } .key i.three { background: var(--three); }
.scroll { overflow: auto; max-height: 32rem; border: 1px solid var(--line); border-radius: .6rem; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { position: sticky; top: 0; z-index: 1; background: var(--wash); text-align: left; font-size: .8rem; color: var(--soft); font-weight: 600; }
th { white-space: nowrap; }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.name { min-width: 12rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.up { color: var(--bad); }
ol.steps { padding-left: 1.3rem; } ol.steps li { margin: .5rem 0; max-width: 75ch; }
.command { display: flex; gap: .5rem; align-items: flex-start; background: var(--wash); border-radius: .45rem; padding: .5rem .6rem; margin: .35rem 0; }
.command code { flex: 1; user-select: all; white-space: pre-wrap; }
button { font: inherit; font-size: .8rem; padding: .15rem .6rem; border-radius: .35rem; border: 1px solid var(--line); background: var(--card); color: var(--ink); cursor: pointer; }
button:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
input { font: inherit; padding: .35rem .6rem; border-radius: .4rem; border: 1px solid var(--line); background: var(--card); color: var(--ink); width: min(22rem, 100%); margin-bottom: .5rem; }
.note { background: var(--warn-wash); border-radius: .45rem; padding: .55rem .8rem; margin: .5rem 0; }
details summary { cursor: pointer; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 34rem) {
  main { padding: 1.2rem .8rem 3rem; }
  th, td { padding: .35rem .5rem; font-size: .82rem; }
  td.name { min-width: 8rem; }
  td > details { position: sticky; left: .5rem; max-width: calc(100vw - 4.5rem); }
  .states tr { display: block; margin: .35rem 0; }
  .states td { display: inline; padding: 0 .35rem 0 0; }
  .command { flex-direction: column; align-items: stretch; }
}
@media print { .scroll { max-height: none; overflow: visible; } button, input { display: none; } }
`;
