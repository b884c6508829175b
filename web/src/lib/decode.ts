/**
 * Decoders: what comes from the network is `unknown` until one of these has looked at it.
 *
 * A decoder returns the value with its type or throws a `DecodeError` that names the place.
 * Fields nobody asked for are ignored, so that an older page can talk to a newer server.
 */

export type Decoder<T> = (value: unknown, path: string) => T;

export class DecodeError extends Error {
  constructor(
    readonly path: string,
    readonly expected: string,
    value: unknown,
  ) {
    super(`${path || 'answer'}: expected ${expected}, got ${value === null ? 'null' : typeof value}`);
    this.name = 'DecodeError';
  }
}

export function decode<T>(decoder: Decoder<T>, value: unknown): T {
  return decoder(value, '');
}

export const string: Decoder<string> = (value, path) => {
  if (typeof value !== 'string') throw new DecodeError(path, 'text', value);
  return value;
};

export const number: Decoder<number> = (value, path) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new DecodeError(path, 'a number', value);
  return value;
};

export const boolean: Decoder<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw new DecodeError(path, 'true or false', value);
  return value;
};

export function nullable<T>(inner: Decoder<T>): Decoder<T | null> {
  return (value, path) => (value === null || value === undefined ? null : inner(value, path));
}

/** A missing field takes `fallback`; a present one must still be right. */
export function withDefault<T>(inner: Decoder<T>, fallback: () => NoInfer<T>): Decoder<T> {
  return (value, path) => (value === null || value === undefined ? fallback() : inner(value, path));
}

export function array<T>(inner: Decoder<T>): Decoder<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new DecodeError(path, 'a list', value);
    return value.map((item: unknown, index) => inner(item, `${path}[${index}]`));
  };
}

export function record<T>(inner: Decoder<T>): Decoder<Record<string, T>> {
  return (value, path) => {
    const out: Record<string, T> = {};
    for (const [key, item] of Object.entries(plainObject(value, path))) out[key] = inner(item, `${path}.${key}`);
    return out;
  };
}

/** As `record`, but an entry of another kind is left out instead of refusing the whole. */
export function recordOf<T>(inner: Decoder<T>): Decoder<Record<string, T>> {
  return (value, path) => {
    const out: Record<string, T> = {};
    for (const [key, item] of Object.entries(plainObject(value, path))) {
      try {
        out[key] = inner(item, `${path}.${key}`);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }
    return out;
  };
}

export function oneOf<const T extends readonly string[]>(...names: T): Decoder<T[number]> {
  return (value, path) => {
    if (typeof value !== 'string' || !names.includes(value)) throw new DecodeError(path, names.join(' or '), value);
    return value;
  };
}

export function object<S extends Record<string, Decoder<unknown>>>(
  shape: S,
): Decoder<{ [K in keyof S]: S[K] extends Decoder<infer T> ? T : never }> {
  const fields = Object.entries(shape);
  return (value, path) => {
    const from = plainObject(value, path);
    const out: Record<string, unknown> = {};
    for (const [key, inner] of fields) out[key] = inner(from[key], path ? `${path}.${key}` : key);
    return out as { [K in keyof S]: S[K] extends Decoder<infer T> ? T : never };
  };
}

function plainObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DecodeError(path, 'an object', value);
  return value as Record<string, unknown>;
}
