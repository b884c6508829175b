import { createApp } from 'vue';
import App from './App.vue';
import { i18n } from './i18n';
import { router } from './router';
import { startPreferences } from './state/preferences';
import './styles/tokens.css';
import './styles/base.css';
import './styles/table.css';
import './styles/print.css';

startPreferences();
createApp(App).use(i18n).use(router).mount('#app');
