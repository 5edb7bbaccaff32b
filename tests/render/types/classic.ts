// The classic model of a dashboard as it is written in JSON: enumerations are their texts and numbers, and a query has what
// Prometheus asks beside what all data sources have.

import type { AnnotationQuery, Dashboard, VariableModel } from '@grafana/schema';

type Written<T> = T extends string ? `${T}`
  : T extends number ? number
  : T extends Array<infer Element> ? Array<Written<Element>>
  : T extends object ? { [Key in keyof T]: Written<T[Key]> }
  : T;

type Annotation = Written<AnnotationQuery> & {
  expr?: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: 'on' | boolean;
};

type Variable = Omit<Written<VariableModel>, 'current'> & {
  definition?: string;
  /** Empty where Grafana is to choose. */
  current?: Partial<Written<NonNullable<VariableModel['current']>>>;
};

export type Classic = Omit<Written<Dashboard>, 'annotations' | 'templating'> & {
  annotations?: { list?: Annotation[] };
  templating?: { list?: Variable[] };
};
