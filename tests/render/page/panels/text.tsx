// Words that a dashboard says; markdown as it is written.

import { renderMarkdown } from '@grafana/data';

import { ContentProps } from './content';

export function Words({ panel }: ContentProps) {
  const { content = '', mode = 'markdown' } = panel.options ?? {};
  const html = mode === 'markdown' ? renderMarkdown(content) : content;
  return <div data-mark className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
}
