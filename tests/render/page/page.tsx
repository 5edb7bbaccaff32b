// The page: draws a scene, and says what became of each panel.

import 'uplot/dist/uPlot.min.css';

import { createTheme, getValueFormats } from '@grafana/data';
import { GlobalStyles, ThemeContext } from '@grafana/ui';
import { createRoot, Root } from 'react-dom/client';

import { Board } from './board';
import { prepared } from './fields';
import { frames } from './frames';
import { Panel, Scene } from './scene';

declare global {
  interface Window {
    __grafana_public_path__: string;
    draw(scene: Scene): Promise<number>;
    panels(): Promise<Outcome[]>;
    units(): string[];
  }
}

/** What became of a panel. */
interface Outcome {
  id: number;
  problem?: string;
}

window.__grafana_public_path__ = '/public/';
const theme = createTheme({ colors: { mode: 'dark' } });
let root: Root | undefined;

/** Draws a dashboard; the height of the page. */
window.draw = async (scene) => {
  const all = scene.dashboard.panels!.flatMap((panel: any): Panel[] => (panel.type === 'row' ? panel.panels ?? [] : [panel]));
  const data = new Map();
  for (const panel of all) {
    const answers = scene.answers[panel.id] ?? [];
    data.set(panel.id, await prepared(panel, frames(answers, scene.from, scene.to), theme));
  }
  root?.unmount();
  root = createRoot(document.getElementById('page')!);
  root.render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Board scene={scene} data={data} />
    </ThemeContext.Provider>,
  );
  await document.fonts.load('400 12px Inter').then(() => document.fonts.load('500 12px Inter'));
  await document.fonts.ready;
  await quiet();
  return Math.ceil(document.getElementById('board')!.getBoundingClientRect().height);
};

/** What became of each panel, after all is drawn. */
window.panels = async () => {
  await quiet();
  return [...document.querySelectorAll<HTMLElement>('[data-panel]')].map((element) => ({
    id: Number(element.dataset.panel),
    problem: problemOf(element),
  }));
};

/** Names of all units there are. */
window.units = () => {
  const groups = getValueFormats().flatMap(({ submenu = [] }) => submenu);
  return [...new Set(groups.map(({ value }) => value!))].sort();
};

/** Waits until nothing has changed for a while: components measure themselves, and draw again. */
function quiet(): Promise<void> {
  return new Promise((done) => {
    let wait = setTimeout(finish, 400);
    const watch = new MutationObserver(() => {
      clearTimeout(wait);
      wait = setTimeout(finish, 400);
    });
    watch.observe(document.body, { subtree: true, childList: true, attributes: true });
    function finish() {
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => done()));
    }
  });
}

function problemOf(element: HTMLElement): string | undefined {
  const wrong = element.querySelector<HTMLElement>('[data-problem]');
  if (wrong) return wrong.dataset.problem;
  const content = element.querySelector<HTMLElement>('[data-content]');
  if (!content) return 'it has no content';
  if (/no data/i.test(content.innerText)) return 'No data';
  const canvases = [...content.querySelectorAll('canvas')];
  const marks = content.querySelectorAll('[data-mark]').length;
  if (canvases.length > 0) return canvases.some(isDrawn) || marks > 0 ? undefined : 'nothing is drawn';
  return marks > 0 || /\S/.test(content.innerText) ? undefined : 'it is empty';
}

/** Whether there is more than a grid and axes: colours that are no grey. */
function isDrawn(canvas: HTMLCanvasElement): boolean {
  if (canvas.width === 0 || canvas.height === 0) return false;
  const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue, alpha] = [data[i], data[i + 1], data[i + 2], data[i + 3]];
    if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 40) coloured += 1;
  }
  return coloured > 20;
}
