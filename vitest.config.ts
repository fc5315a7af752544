import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Tests wait for sockets and disks half of their time: on two cores, the one worker of the default leaves them idle.
    maxWorkers: 2,
  },
});
