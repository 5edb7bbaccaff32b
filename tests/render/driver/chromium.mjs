// A headless Chromium, spoken to through a pipe, that draws a scene and takes its picture.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const WIDTH = 1600;
const FLAGS = [
  '--headless=new', '--remote-debugging-pipe', '--no-first-run', '--disable-gpu', '--hide-scrollbars', '--mute-audio',
  '--disable-extensions', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--force-device-scale-factor=1', '--font-render-hinting=none', '--force-color-profile=srgb',
  // Nothing but loopback.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  // As root, and in containers, there is no sandbox; the page is our own.
  '--no-sandbox', '--disable-dev-shm-usage',
];
/** Milliseconds for one answer. */
const PATIENCE = 60_000;

export class Chromium {
  static async start(program, address) {
    const profile = await mkdtemp(path.join(tmpdir(), 'render-'));
    const child = spawn(program, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    });
    const browser = new Chromium(child, profile);
    try {
      await browser.#open(address);
    } catch (error) {
      await browser.stop();
      throw error;
    }
    return browser;
  }

  constructor(child, profile) {
    this.child = child;
    this.profile = profile;
    this.waiting = new Map();
    this.complaints = [];
    this.last = 0;
    this.said = '';
    this.ended = new Promise((ended) => child.once('exit', ended).once('error', ended));
    this.ended.then((why) => this.waiting.forEach(({ refuse }) => refuse(new Error(`Chromium ended (${why}): ${this.said}`))));
    child.stderr.on('data', (data) => (this.said = (this.said + data).slice(-2000)));
    child.stdio[3].on('error', () => {});
    let rest = Buffer.alloc(0);
    child.stdio[4].on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.#hear(JSON.parse(rest.subarray(0, end).toString()));
        rest = rest.subarray(end + 1);
      }
    });
  }

  /** Draws a dashboard: the picture, what became of each panel, and what the page complained of. */
  async draw(scene) {
    this.complaints = [];
    await this.#size(1200);
    const height = await this.#call(`window.draw(${JSON.stringify(scene)})`);
    await this.#size(height);
    const panels = await this.#call('window.panels()');
    const { data } = await this.#say('Page.captureScreenshot', {
      format: 'png',
      clip: { x: 0, y: 0, width: WIDTH, height, scale: 1 },
    });
    return { picture: Buffer.from(data, 'base64'), panels, complaints: [...new Set(this.complaints)] };
  }

  /** Names of all units there are. */
  units() {
    return this.#call('window.units()');
  }

  async stop() {
    this.child.kill();
    await this.ended;
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  async #open(address) {
    const { targetInfos } = await this.#say('Target.getTargets', {});
    const { targetId } = targetInfos.find((target) => target.type === 'page');
    const { sessionId } = await this.#say('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId;
    await this.#say('Runtime.enable', {});
    await this.#say('Page.enable', {});
    await this.#size(1200);
    const loaded = new Promise((loaded) => (this.loaded = loaded));
    await this.#say('Page.navigate', { url: address });
    await loaded;
  }

  #size(height) {
    return this.#say('Emulation.setDeviceMetricsOverride', { width: WIDTH, height, deviceScaleFactor: 1, mobile: false });
  }

  async #call(expression) {
    const answer = await this.#say('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails) {
      throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    }
    return answer.result.value;
  }

  #say(method, params) {
    const id = (this.last += 1);
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.session })}\0`);
    return new Promise((take, refuse) => {
      const late = setTimeout(() => refuse(new Error(`Chromium does not answer ${method}: ${this.said}`)), PATIENCE);
      this.waiting.set(id, { take, refuse, late });
    });
  }

  #hear(message) {
    const waiting = this.waiting.get(message.id);
    if (waiting) {
      this.waiting.delete(message.id);
      clearTimeout(waiting.late);
      if (message.error) waiting.refuse(new Error(message.error.message));
      else waiting.take(message.result);
    } else if (message.method === 'Page.loadEventFired') {
      this.loaded?.();
    } else if (message.method === 'Runtime.exceptionThrown') {
      const { exception, text } = message.params.exceptionDetails;
      this.complaints.push((exception?.description ?? text).split('\n')[0]);
    }
  }
}
