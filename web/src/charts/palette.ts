/** The colours of `tokens.css` as a canvas needs them: resolved for the theme that holds now. */

const TOKENS = ['chart-1', 'chart-2', 'chart-3', 'chart-4', 'chart-5', 'chart-6', 'chart-7', 'chart-8', 'chart-rest', 'chart-grid', 'chart-label', 'text', 'surface'] as const;

export type ColourName = (typeof TOKENS)[number];
export type Palette = Record<ColourName, string> & { font: string };

/** Lines of one chart take these one after the other. */
export const LINE_COLOURS = ['chart-1', 'chart-2', 'chart-3', 'chart-4', 'chart-5', 'chart-6', 'chart-7', 'chart-8'] as const;

export function lineColour(index: number): ColourName {
  return LINE_COLOURS[index % LINE_COLOURS.length] ?? 'chart-1';
}

/** `light-dark()` is resolved only where a colour is used, so a hidden element uses each once. */
export function readPalette(): Palette {
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const colours = Object.fromEntries(
    TOKENS.map((token) => {
      probe.style.color = `var(--${token})`;
      return [token, style.color];
    }),
  ) as Record<ColourName, string>;
  const font = getComputedStyle(document.body).fontFamily;
  probe.remove();
  return { ...colours, font };
}
