// Turns what `tmux capture-pane -e` prints into an SVG: text, colours and weight, nothing else. Starts nothing.

const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 19;
const PADDING = 18;
const BAR_HEIGHT = 34;
const BACKGROUND = "#16181d";
const FOREGROUND = "#d7dae0";
/** The sixteen colours, as a dark theme has them. */
const PALETTE = [
  ...["#5c6370", "#e06c75", "#8fce72", "#e5c07b", "#61afef", "#c678dd", "#4fc1cf", "#d7dae0"],
  ...["#7f848e", "#ff7b86", "#a5e075", "#f0d197", "#7cc0ff", "#d894ec", "#6bdbe8", "#ffffff"],
];

/**
 * @typedef {object} Style
 * @property {string} colour
 * @property {boolean} isBold
 * @property {boolean} isFaint
 */

/** @returns {string} */
function indexedColour(/** @type {number} */ index) {
  if (index < 16) return PALETTE[index] ?? FOREGROUND;
  if (index >= 232) return rgb(...[8, 8, 8].map((base) => base + (index - 232) * 10));
  const levels = [0, 95, 135, 175, 215, 255];
  const cube = index - 16;
  return rgb(levels[Math.floor(cube / 36)], levels[Math.floor(cube / 6) % 6], levels[cube % 6]);
}

function rgb(/** @type {(number | undefined)[]} */ ...parts) {
  return `#${parts.map((part) => (part ?? 0).toString(16).padStart(2, "0")).join("")}`;
}

/** Applies one SGR sequence (`1;32`) to `style`. @returns {Style} */
function apply(/** @type {Style} */ style, /** @type {string} */ parameters) {
  const codes = parameters === "" ? [0] : parameters.split(";").map(Number);
  let next = { ...style };
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0) next = { colour: FOREGROUND, isBold: false, isFaint: false };
    else if (code === 1) next.isBold = true;
    else if (code === 2) next.isFaint = true;
    else if (code === 22) next = { ...next, isBold: false, isFaint: false };
    else if (code >= 30 && code <= 37) next.colour = indexedColour(code - 30);
    else if (code >= 90 && code <= 97) next.colour = indexedColour(code - 82);
    else if (code === 39) next.colour = FOREGROUND;
    else if (code === 38 && codes[at + 1] === 5) {
      next.colour = indexedColour(codes[at + 2] ?? 7);
      at += 2;
    } else if (code === 38 && codes[at + 1] === 2) {
      next.colour = rgb(codes[at + 2], codes[at + 3], codes[at + 4]);
      at += 4;
    }
  }
  return next;
}

function escapeXml(/** @type {string} */ text) {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * An SVG of a terminal that shows `capture`.
 *
 * @param {string} capture Lines with SGR escapes.
 * @param {{ title: string, columns: number }} options
 */
export function terminalSvg(capture, { title, columns }) {
  const lines = capture.replace(/\s+$/, "").split("\n");
  const width = Math.ceil(columns * CELL_WIDTH + PADDING * 2);
  const height = lines.length * LINE_HEIGHT + PADDING * 2 + BAR_HEIGHT;
  let style = { colour: FOREGROUND, isBold: false, isFaint: false };
  const texts = [];
  for (const [row, line] of lines.entries()) {
    let column = 0;
    const y = BAR_HEIGHT + PADDING + row * LINE_HEIGHT + 13;
    // Each part but the first begins with the rest of an escape: `1;32m`, then text.
    for (const [index, raw] of line.split("\u001b[").entries()) {
      const end = index === 0 ? 0 : raw.indexOf("m") + 1;
      if (end > 0) style = apply(style, raw.slice(0, end - 1));
      const part = raw.slice(end);
      const cells = [...part].length;
      const look = `fill="${style.colour}"${style.isBold ? ' font-weight="700"' : ""}${style.isFaint ? ' opacity=".6"' : ""}`;
      // Piece by piece, since SVG folds spaces; textLength keeps the columns whatever font the reader has.
      for (const { 0: piece, index: offset } of part.matchAll(/\S+(?: \S+)*/g)) {
        const x = (PADDING + (column + [...part.slice(0, offset)].length) * CELL_WIDTH).toFixed(1);
        const length = ([...piece].length * CELL_WIDTH).toFixed(1);
        texts.push(`<text x="${x}" y="${y}" ${look} textLength="${length}">${escapeXml(piece)}</text>`);
      }
      column += cells;
    }
  }
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map(
    (colour, index) => `<circle cx="${20 + index * 18}" cy="17" r="5.5" fill="${colour}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">
<rect width="${width}" height="${height}" rx="9" fill="${BACKGROUND}"/>
${dots.join("")}
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14">
${texts.join("\n")}
</g>
</svg>
`;
}
