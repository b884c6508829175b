// Runs before the first paint so that a chosen theme or language does not flash. A file of its own
// because the content security policy allows no inline script. Keys: see src/state/preferences.ts.
(function () {
  try {
    var theme = localStorage.getItem('ocw.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
    var language = localStorage.getItem('ocw.language');
    if (language === 'zh' || language === 'en') document.documentElement.lang = language;
  } catch (refused) {
    // Storage is switched off: the system's theme and the browser's language hold.
  }
})();
