// Small on purpose: types are checked by vue-tsc; these rules keep out what the content security policy
// and our own rules forbid.
import vue from 'eslint-plugin-vue';
import ts from 'typescript-eslint';

const FORBIDDEN = [
  {
    selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|cssText)$/]",
    message: 'Text goes through templates or textContent: what devices say must never become markup.',
  },
  {
    selector: "Property[key.name='formatter'] > :matches(Literal, TemplateLiteral)",
    message: 'A formatter is a function: ECharts reads strings as templates.',
  },
  {
    selector: "CallExpression[callee.property.name='setAttribute'] > Literal[value='style']",
    message: 'The content security policy refuses style attributes; set properties of element.style.',
  },
];

export default ts.config(
  { ignores: ['dist/', 'out/', 'node_modules/', 'src/api/schema.d.ts'] },
  {
    files: ['**/*.ts', '**/*.vue', '**/*.js', '**/*.mjs'],
    extends: [ts.configs.base, ...vue.configs['flat/base']],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.vue'] } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-new-func': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-restricted-syntax': ['error', ...FORBIDDEN],
      'no-restricted-imports': ['error', { paths: [{ name: 'echarts', message: 'Only charts/echarts.ts imports ECharts.' }], patterns: [{ group: ['echarts/*'], message: 'Only charts/echarts.ts imports ECharts.' }] }],
      'vue/no-v-html': 'error',
      'vue/no-static-inline-styles': 'error',
      'vue/no-unused-components': 'error',
      'vue/require-v-for-key': 'error',
      'vue/no-restricted-static-attribute': ['error', 'style'],
    },
  },
  { files: ['src/charts/echarts.ts'], rules: { 'no-restricted-imports': 'off' } },
  // The browser test reports on standard output.
  { files: ['e2e/**'], rules: { 'no-console': 'off' } },
  { files: ['public/*.js'], rules: { 'no-var': 'off' } },
);
