/** Addresses of the views, and who may see them. */

import { ref } from 'vue';
import { createRouter, createWebHistory } from 'vue-router';
import { loadSession, whenSignedOut } from './state/session';

declare module 'vue-router' {
  interface RouteMeta {
    /** Shown without header and without a session. */
    open?: boolean;
  }
}

/** The server could not be asked who is signed in: nothing else can be shown. */
export const serverMissing = ref<unknown>(null);

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', name: 'overview', component: () => import('./views/OverviewView.vue') },
    { path: '/devices/:id(\\d{1,15})/:tab(\\w+)?', name: 'device', component: () => import('./views/DeviceView.vue') },
    { path: '/logs', name: 'logs', component: () => import('./views/LogsView.vue') },
    { path: '/usage', name: 'usage', component: () => import('./views/UsageView.vue') },
    { path: '/events', name: 'events', component: () => import('./views/EventsView.vue') },
    {
      path: '/settings/:section(\\w+)?',
      name: 'settings',
      component: () => import('./views/SettingsView.vue'),
    },
    { path: '/sign-in', name: 'sign-in', component: () => import('./views/SignInView.vue'), meta: { open: true } },
    { path: '/setup', name: 'setup', component: () => import('./views/SetupView.vue'), meta: { open: true } },
    { path: '/:rest(.*)*', name: 'nothing', component: () => import('./views/NothingView.vue') },
  ],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
});

router.beforeEach(async (to) => {
  let session;
  try {
    session = await loadSession();
    serverMissing.value = null;
  } catch (error) {
    serverMissing.value = error;
    return true;
  }
  if (session.kind === 'setup_required') return to.name === 'setup' || { name: 'setup' };
  if (session.kind === 'signed_in') return to.meta.open ? { path: pathAfter(to.query['next']) } : true;
  if (to.name === 'setup') return { name: 'sign-in', query: { reason: 'exists' } };
  return to.meta.open || { name: 'sign-in', query: to.fullPath === '/' ? {} : { next: to.fullPath } };
});

whenSignedOut(() => {
  const here = router.currentRoute.value.fullPath;
  void router.push({ name: 'sign-in', query: { ...(here === '/' ? {} : { next: here }), reason: 'ended' } });
});

/** Where to go after signing in: only to a place of this page, whatever the address bar says. */
export function pathAfter(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) ? next : '/';
}
