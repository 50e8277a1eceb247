// How the pages of the sign-in look, in light and dark. No resource from anywhere else.

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --card: #ffffff; --line: #d5d9e0; --field: #868e9c;
  --text: #1b1f27; --soft: #535c6b; --accent: #1f5fd1; --accent-text: #ffffff; --accent-over: #184ca8;
  --alert: #9c1c1c; --alert-ground: #fdeeee; --warn: #6d4700; --warn-ground: #fff5df; --good: #17663a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151b; --card: #1b2029; --line: #333b48; --field: #7a8496;
    --text: #e8ebf0; --soft: #a7b0bf; --accent: #8ab4ff; --accent-text: #0c1524; --accent-over: #aac8ff;
    --alert: #ffb3ae; --alert-ground: #3a1c1e; --warn: #ffd48a; --warn-ground: #352a14; --good: #7fdba6;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; padding: 4rem 1rem 3rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
header, main { max-width: 25rem; margin: 0 auto; }
header { display: flex; align-items: center; gap: .6rem; margin-bottom: 1rem; color: var(--soft); overflow-wrap: anywhere; }
.mark { width: 1.4rem; height: 1.4rem; flex: none; fill: none; stroke: var(--accent); stroke-width: 2.6; stroke-linecap: round; stroke-linejoin: round; }
main { padding: 1.75rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; line-height: 1.25; letter-spacing: -.01em; }
h2 { margin: 1.75rem 0 .75rem; font-size: 1.05rem; }
p { margin: 0 0 1rem; }
main > :last-child { margin-bottom: 0; }
form { margin: 0; }
form + form, p + form { margin-top: 1.25rem; }
label { display: block; margin-bottom: .3rem; font-weight: 600; }
.hint { margin: -.6rem 0 1rem; color: var(--soft); font-size: .9rem; }
input {
  display: block; width: 100%; min-height: 2.9rem; margin-bottom: 1rem; padding: .5rem .75rem; color: inherit; font: inherit;
  background: var(--card); border: 1px solid var(--field); border-radius: .5rem;
}
input[readonly] { background: var(--ground); border-color: var(--line); }
input.code { font: 600 1.4rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; letter-spacing: .12em; text-align: center; text-transform: uppercase; }
input[aria-invalid] { border-color: var(--alert); }
button, .button {
  display: block; width: 100%; min-height: 2.9rem; padding: .6rem 1rem; border: 1px solid var(--accent); border-radius: .5rem;
  background: var(--accent); color: var(--accent-text); font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
}
button:hover, .button:hover { background: var(--accent-over); border-color: var(--accent-over); }
.quiet { background: transparent; color: var(--text); border-color: var(--field); }
.quiet:hover { background: var(--ground); border-color: var(--text); }
.both { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
.alert, .warn { padding: .75rem .9rem; border-radius: .5rem; border-left: .25rem solid; overflow-wrap: anywhere; }
.alert { background: var(--alert-ground); color: var(--alert); }
.warn { background: var(--warn-ground); color: var(--warn); }
.good { color: var(--good); font-weight: 600; }
.or { display: flex; align-items: center; gap: .75rem; margin: 1.25rem 0; color: var(--soft); font-size: .9rem; }
.or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--line); }
.shown { margin: 0 0 1rem; padding: .7rem; border: 1px dashed var(--field); border-radius: .5rem; font: 600 1.7rem/1.3 ui-monospace, "SF Mono", Menlo, Consolas, monospace; letter-spacing: .12em; text-align: center; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .35rem 1rem; margin: 0 0 1rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
small, .foot { color: var(--soft); font-size: .85rem; }
.foot { margin-top: 1.25rem; }
code { font-size: .95em; white-space: nowrap; }
[hidden] { display: none; }
@media (max-width: 28rem) { body { padding-top: 1.5rem; } main { padding: 1.25rem; } .both { grid-template-columns: 1fr; } }
`;
