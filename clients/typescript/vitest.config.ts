import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/*.test.ts'],
    // Long enough for a loaded machine, short enough to notice a hang.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
