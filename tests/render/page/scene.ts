// What the page is given: a dashboard with the answers to its queries.

import type { FieldConfigSource } from '@grafana/data';
import type { Dashboard } from '@grafana/schema';

export interface Scene {
  dashboard: Dashboard;
  variables: Array<{ name: string; label: string; text: string }>;
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  /** By id of the panel. */
  answers: Record<number, Answer[]>;
  annotations: Annotation[];
}

export interface Answer {
  refId: string;
  legendFormat?: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  /** Seconds between two points. */
  step: number;
  type?: 'vector' | 'matrix' | 'scalar' | 'string';
  result: Series[];
  error?: string;
}

export interface Series {
  metric: Record<string, string>;
  value?: [number, string];
  values?: Array<[number, string]>;
}

export interface Annotation {
  name: string;
  color: string;
  times: number[];
}

/** A panel as the classic model has it. */
export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig: FieldConfigSource;
  options: Record<string, any>;
  transformations?: any[];
  links?: Array<{ title: string }>;
  transparent?: boolean;
  panels?: Panel[];
}
