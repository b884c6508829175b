/** Draws a table into a picture, in the colours that hold now. */

import { readPalette } from '../charts/palette';
import { layOut, type DataTable } from '../lib/table-layout';

/** Dots of a picture for each pixel. */
const SCALE = 2;
const SIDE_PX = 16;
const HEADING_PX = 44;
const ROW_PX = 24;
const COLUMN_GAP_PX = 20;
const FONT_PX = 12;

/** Null where the browser could not make it. `moreText` stands under a list that is too long. */
export async function tablePicture(table: DataTable, moreText: (n: number) => string): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  if (!context) return null;
  const palette = readPalette();
  const font = `${FONT_PX}px ${palette.font}`;
  context.font = `600 ${font}`;
  const { head, rows, widths, right, more } = layOut(table, (text) => context.measureText(text).width);
  const lines = rows.length + 1 + (more > 0 ? 1 : 0);
  const width = 2 * SIDE_PX + widths.reduce((sum, one) => sum + one + COLUMN_GAP_PX, -COLUMN_GAP_PX);
  canvas.width = Math.max(width, 260) * SCALE;
  canvas.height = (HEADING_PX + lines * ROW_PX + SIDE_PX / 2) * SCALE;
  context.scale(SCALE, SCALE);
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = 'middle';
  context.fillStyle = palette.text;
  context.font = `600 15px ${palette.font}`;
  context.fillText(table.title, SIDE_PX, HEADING_PX / 2);

  const line = (cells: readonly string[], at: number): void => {
    let x = SIDE_PX;
    for (const [column, text] of cells.entries()) {
      const room = widths[column] ?? 0;
      context.textAlign = right[column] ? 'right' : 'left';
      context.fillText(text, right[column] ? x + room : x, HEADING_PX + (at + 0.5) * ROW_PX);
      x += room + COLUMN_GAP_PX;
    }
    context.textAlign = 'left';
  };
  context.font = `600 ${font}`;
  context.fillStyle = palette['chart-label'];
  line(head, 0);
  context.font = font;
  for (const [index, row] of rows.entries()) {
    context.fillStyle = palette['chart-grid'];
    context.fillRect(SIDE_PX, HEADING_PX + (index + 1) * ROW_PX, canvas.width / SCALE - 2 * SIDE_PX, 1);
    context.fillStyle = palette.text;
    line(row, index + 1);
  }
  if (more > 0) {
    context.fillStyle = palette['chart-label'];
    context.fillText(moreText(more), SIDE_PX, HEADING_PX + (rows.length + 1.5) * ROW_PX);
  }
  return await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}
