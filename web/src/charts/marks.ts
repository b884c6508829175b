/** Something that happened at a moment, to be marked on a time axis. */
export interface Mark {
  id: number;
  t_ms: number;
  /** The kind of the event; online and offline have a colour of their own. */
  kind: string;
  text: string;
}
