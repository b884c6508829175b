/** The shortest password the server takes. */
export const PASSWORD_CHARS_MIN = 10;

/** What is wrong with a new password typed twice; null when nothing is. */
export function passwordFault(password: string, repeat: string): 'short' | 'mismatch' | null {
  // Characters as the server counts them, not UTF-16 units.
  if ([...password].length < PASSWORD_CHARS_MIN) return 'short';
  return password === repeat ? null : 'mismatch';
}
