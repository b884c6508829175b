/** Who is signed in. The cookie is the truth; this is what the server said about it last. */

import { computed, readonly, ref } from 'vue';
import { ApiError, api, useCsrfToken, whenSessionEnds } from '../api/client';
import { whenLiveStops } from '../api/live';
import type { Session } from '../api/model';

export type SessionState =
  | { kind: 'unknown' }
  | { kind: 'signed_in'; session: Session }
  | { kind: 'signed_out' }
  /** No account exists yet: only the sign-up link works. */
  | { kind: 'setup_required' };

const state = ref<SessionState>({ kind: 'unknown' });
let onEnd: () => void = () => {};

export const sessionState = readonly(state);

/** Others may look; what changes something is not offered to them. */
export const isAdmin = computed(() => state.value.kind === 'signed_in' && state.value.session.user.role === 'admin');

/** Asks the server once; later calls answer from memory. Throws when the server cannot be reached. */
export async function loadSession(): Promise<SessionState> {
  if (state.value.kind !== 'unknown') return state.value;
  try {
    set({ kind: 'signed_in', session: await api.session() });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === 'setup_required') set({ kind: 'setup_required' });
    else if (error.status === 401) set({ kind: 'signed_out' });
    else throw error;
  }
  return state.value;
}

export function signedIn(session: Session): void {
  set({ kind: 'signed_in', session });
}

export async function signOut(): Promise<void> {
  try {
    await api.signOut();
  } catch (error) {
    // Already over on the server: the same result.
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
  }
  set({ kind: 'signed_out' });
}

/** `listener` is called when the server ends the session by itself. */
export function whenSignedOut(listener: () => void): void {
  onEnd = listener;
  const end = (): void => {
    if (state.value.kind !== 'signed_in') return;
    set({ kind: 'signed_out' });
    onEnd();
  };
  whenSessionEnds(end);
  whenLiveStops({ ended: end, cut: () => void askWhetherEnded(end) });
}

/** A refused socket does not say why. If the session is over, trying again would never help. */
async function askWhetherEnded(end: () => void): Promise<void> {
  try {
    await api.session();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) end();
  }
}

function set(next: SessionState): void {
  state.value = next;
  useCsrfToken(next.kind === 'signed_in' ? next.session.csrf_token : null);
}
