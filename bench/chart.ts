import type { CaseResult } from './measure.ts';
export const renderChart = (_results: readonly CaseResult[]): string => '';
