import { readFileSync } from 'node:fs';
import type { Boot } from '../boot.ts';

const path = '/proc/sys/kernel/random/boot_id';

/**
 * The boot of this machine. Linux alone says which it is (containers have that of their host); elsewhere, as times of day can be
 * set and process ids come again, nothing is said rather than guessed.
 */
export function realBoot(): Boot {
  return { id: readBootId() };
}

function readBootId(): string | undefined {
  try {
    const id = readFileSync(path, 'utf8').trim();
    return id === '' ? undefined : id;
  } catch {
    // Systems without /proc.
    return undefined;
  }
}
