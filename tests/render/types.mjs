// Holds dashboards against the types that Grafana's own code has of them: `node types.mjs --modules FOLDER FILE…`.
// What differs is said, and the command fails. The page of the pictures is checked along with them.

import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const { values: args, positionals: files } = parseArgs({ options: { modules: { type: 'string' } }, allowPositionals: true });

const modules = path.resolve(args.modules);
// Beside the packages, so that they are found; links, so that messages name our own files.
const folder = await mkdtemp(path.join(path.dirname(modules), 'types-'));
try {
  for (const name of ['page', 'types', 'tsconfig.json']) await symlink(path.join(HERE, name), path.join(folder, name));
  for (const file of files) {
    const text = `import type { Classic } from './types/classic';\nexport const dashboard: Classic =\n`;
    // A line of the file is two lines further down.
    await writeFile(path.join(folder, `${path.basename(file)}.ts`), text + (await readFile(file, 'utf8')));
  }
  const { status } = spawnSync(process.execPath, [path.join(modules, 'typescript/bin/tsc'), '-p', folder], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  await rm(folder, { recursive: true });
}
