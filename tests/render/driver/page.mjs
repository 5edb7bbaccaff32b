// The page on which dashboards are drawn, bundled and served on loopback.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'page');
const HTML = '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css">'
  + '<body><div id="page"></div><script src="/page.js"></script></body>';
/** Fonts where Grafana's styles ask for them; italic ones are nowhere. */
const FONTS = [
  [/^\/public\/fonts\/inter\/Inter-Regular\.woff2$/, '@fontsource/inter/files/inter-latin-400-normal.woff2'],
  [/^\/public\/fonts\/inter\/Inter-Medium\.woff2$/, '@fontsource/inter/files/inter-latin-500-normal.woff2'],
  [/^\/public\/fonts\/roboto\/[\w-]+\.woff2$/, '@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2'],
];
const TYPES = { '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

export class Page {
  /** Bundles the page with the packages of a folder, and serves it on a free port. */
  static async serve(modules) {
    const { build } = createRequire(path.join(path.resolve(modules), 'package.json'))('esbuild');
    const bundle = await build({
      entryPoints: [path.join(SOURCES, 'page.tsx')],
      bundle: true,
      write: false,
      outdir: '/',
      nodePaths: [path.resolve(modules)],
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
      // Fonts of an editor that is never shown.
      loader: { '.ttf': 'empty' },
      minify: true,
      logLevel: 'error',
    });
    const files = new Map(bundle.outputFiles.map((file) => [file.path, file.contents]));
    const server = createServer((request, response) => answer(request, response, files, modules));
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    return new Page(server);
  }

  constructor(server) {
    this.server = server;
    this.address = `http://127.0.0.1:${server.address().port}/`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

async function answer(request, response, files, modules) {
  const wanted = new URL(request.url, 'http://localhost').pathname;
  try {
    const body = wanted === '/' ? HTML : files.get(wanted) ?? await readFile(path.join(modules, packaged(wanted)));
    response.writeHead(200, { 'content-type': TYPES[path.extname(wanted)] ?? 'text/html' }).end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** The file of a package that an icon or a font is. */
function packaged(wanted) {
  const icon = /^\/public\/build\/(img\/icons\/[\w-]+\/[\w-]+\.svg)$/.exec(wanted)?.[1];
  if (icon) return `@grafana/ui/dist/public/${icon}`;
  return FONTS.find(([pattern]) => pattern.test(wanted))[1];
}
