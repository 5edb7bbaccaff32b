// A dashboard: the bar of its variables and links, rows, and panels in their places.

import { DataFrame, GrafanaTheme2, LoadingState, dateTimeFormat } from '@grafana/data';
import { Icon, PanelChrome, useTheme2 } from '@grafana/ui';
import { Component, ReactNode } from 'react';

import { Content } from './panels/content';
import { Panel, Scene } from './scene';

/** Pixels, as Grafana has them. */
const WIDTH = 1600;
const MARGIN = 16;
const GAP = 8;
const CELL = 30;
const COLUMNS = 24;
const BAR = 92;

interface Placed {
  panel: Panel;
  /** Cells. */
  y: number;
}

export function Board({ scene, data }: { scene: Scene; data: Map<number, DataFrame[]> }) {
  const placed = places(scene.dashboard.panels as unknown as Panel[]);
  const rows = Math.max(...placed.map(({ panel, y }) => y + panel.gridPos.h));
  const theme = useTheme2();
  return (
    <div id="board" style={{ width: WIDTH, height: BAR + top(rows) + MARGIN, position: 'relative', background: theme.colors.background.canvas }}>
      <Bar scene={scene} />
      <div style={{ position: 'absolute', top: BAR, left: MARGIN }}>
        {placed.map(({ panel, y }) => (
          <div key={panel.id} style={{ position: 'absolute', left: left(panel.gridPos.x), top: top(y) }}>
            {panel.type === 'row' ? <Row panel={panel} /> : <Framed panel={panel} scene={scene} data={data.get(panel.id)!} />}
          </div>
        ))}
      </div>
    </div>
  );
}

/** Where panels are when all rows are open: those of a closed row push down what follows. */
function places(panels: Panel[]): Placed[] {
  let shift = 0;
  return [...panels].sort((one, other) => one.gridPos.y - other.gridPos.y).flatMap((panel) => {
    const placed = [{ panel, y: panel.gridPos.y + shift }];
    if (panel.type !== 'row' || !panel.panels?.length) return placed;
    const first = Math.min(...panel.panels.map((inner) => inner.gridPos.y));
    const start = panel.gridPos.y + shift + 1;
    const inner = panel.panels.map((one) => ({ panel: one, y: start + one.gridPos.y - first }));
    shift += Math.max(...inner.map(({ panel, y }) => y + panel.gridPos.h)) - start;
    return [...placed, ...inner];
  });
}

const unit = (WIDTH - 2 * MARGIN + GAP) / COLUMNS;
const left = (x: number) => Math.round(x * unit);
const top = (y: number) => y * (CELL + GAP);
const size = ({ x, w, h }: Panel['gridPos']) => ({ width: left(x + w) - left(x) - GAP, height: top(h) - GAP });

function Bar({ scene }: { scene: Scene }) {
  const theme = useTheme2();
  const { title, tags = [], links = [] } = scene.dashboard;
  const time = (at: number) => dateTimeFormat(at, { format: 'YYYY-MM-DD HH:mm:ss', timeZone: 'utc' });
  return (
    <div style={{ padding: `12px ${MARGIN}px`, color: theme.colors.text.primary, fontFamily: theme.typography.fontFamily }}>
      <div style={{ display: 'flex', alignItems: 'center', gap: 8, height: 28 }}>
        <span style={{ fontSize: 18, fontWeight: 500 }}>{title}</span>
        {tags.map((tag) => <Pill key={tag} theme={theme}>{tag}</Pill>)}
        <span style={{ flex: 1 }} />
        {links.map((link) => <Box key={link.title} theme={theme}><Icon name="external-link-alt" size="sm" /> {link.title}</Box>)}
        <Box theme={theme}><Icon name="clock-nine" size="sm" /> {time(scene.from)} to {time(scene.to)} UTC</Box>
      </div>
      <div style={{ display: 'flex', gap: 8, marginTop: 8 }}>
        {scene.variables.map(({ name, label, text }) => (
          <div key={name} style={{ display: 'flex' }}>
            <Box theme={theme} isLabel>{label}</Box>
            <Box theme={theme}>{text} <Icon name="angle-down" /></Box>
          </div>
        ))}
        <span style={{ flex: 1 }} />
        {scene.annotations.map(({ name, color }) => (
          <Box key={name} theme={theme}><span style={{ width: 10, height: 10, borderRadius: 5, background: theme.visualization.getColorByName(color) }} /> {name}</Box>
        ))}
      </div>
    </div>
  );
}

function Box({ theme, isLabel, children }: { theme: GrafanaTheme2; isLabel?: boolean; children: ReactNode }) {
  const background = isLabel ? theme.colors.background.secondary : theme.components.input.background;
  return (
    <span style={{
      display: 'inline-flex', alignItems: 'center', gap: 6, height: 30, padding: '0 8px', fontSize: 12, background,
      fontWeight: isLabel ? 500 : 400, border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2, whiteSpace: 'nowrap',
    }}>{children}</span>
  );
}

function Pill({ theme, children }: { theme: GrafanaTheme2; children: ReactNode }) {
  const style = { background: theme.colors.background.secondary, color: theme.colors.text.secondary, borderRadius: 10 };
  return <span style={{ ...style, padding: '2px 8px', fontSize: 11 }}>{children}</span>;
}

function Row({ panel }: { panel: Panel }) {
  const theme = useTheme2();
  return (
    <div style={{ display: 'flex', alignItems: 'center', gap: 4, height: CELL, width: size(panel.gridPos).width, color: theme.colors.text.primary }}>
      <Icon name="angle-down" /> <span style={{ fontSize: 16, fontWeight: 500 }}>{panel.title}</span>
    </div>
  );
}

function Framed({ panel, scene, data }: { panel: Panel; scene: Scene; data: DataFrame[] }) {
  const { width, height } = size(panel.gridPos);
  const errors = (scene.answers[panel.id] ?? []).flatMap(({ error }) => error ?? []);
  return (
    <div data-panel={panel.id}>
      <PanelChrome
        title={panel.title} description={panel.description} width={width} height={height} loadingState={LoadingState.Done}
        padding={['stat', 'table'].includes(panel.type) ? 'none' : 'md'}
        displayMode={panel.transparent ? 'transparent' : 'default'} statusMessage={errors[0]}
      >
        {(innerWidth, innerHeight) => (
          <div data-content style={{ width: innerWidth, height: innerHeight }}>
            {errors.length > 0 && <span data-problem={errors[0]} />}
            <Guard>
              <Content panel={panel} scene={scene} data={data} width={innerWidth} height={innerHeight} />
            </Guard>
          </div>
        )}
      </PanelChrome>
    </div>
  );
}

/** What a component throws is the panel's problem, not the page's. */
class Guard extends Component<{ children: ReactNode }, { problem?: string }> {
  state: { problem?: string } = {};

  static getDerivedStateFromError(error: Error) {
    return { problem: error.message || String(error) };
  }

  render() {
    return this.state.problem ? <span data-problem={this.state.problem}>{this.state.problem}</span> : this.props.children;
  }
}
