/** Gives the person a file that the page made. */

/** `devices` becomes `openclaw-watch-devices-20261124-1503.csv`. */
export function fileName(what: string, ending: string, at: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const stamp = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}-${two(at.getHours())}${two(at.getMinutes())}`;
  const plain = what.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'data';
  return `openclaw-watch-${plain}-${stamp}.${ending}`;
}

export function saveCsv(what: string, text: string): void {
  save(fileName(what, 'csv', new Date()), new Blob([text], { type: 'text/csv;charset=utf-8' }));
}

export function savePng(what: string, picture: Blob): void {
  save(fileName(what, 'png', new Date()), picture);
}

function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
