import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Tests wait for sockets and disks half of their time: on two cores, the one worker of the default leaves them idle.
    maxWorkers: 3,
    // What they import keeps nothing between them, and is read once for each worker.
    isolate: false,
  },
});
