/**
 * Certificates for tests, valid until 2120 for localhost and 127.0.0.1: a node's, signed by an authority, and a stranger's,
 * which another one has signed. Their keys are published with them and protect nothing.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

function read(name: string): string {
  return readFileSync(join(import.meta.dirname, 'certificates', name), 'utf8');
}

export const authority = read('authority.pem');
export const nodeIdentity = { cert: read('node.pem'), key: read('node-key.pem') };
export const strangerIdentity = { cert: read('stranger.pem'), key: read('stranger-key.pem') };
