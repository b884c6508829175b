/** The same views and texts in another language. */
export type Translated<English> = { [View in keyof English]: { [Text in keyof English[View]]: string } };
