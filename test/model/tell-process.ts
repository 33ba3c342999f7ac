/** The process behind `tell.ts`: tells random stories, orders, or the told stories, and ends with 1 where one fails. */

import { tryOrders } from './orders.ts';
import { tellRandom, toldStories } from './stories.ts';

const [what = '', runs, seed] = process.argv.slice(2);

async function tell(): Promise<void> {
  if (what === 'random') return tellRandom(Number(runs), Number(seed));
  if (what === 'orders') return tryOrders(Number(runs), Number(seed));
  for (const [name, story] of toldStories) {
    try {
      await story();
      console.log(`It holds where ${name}.`);
    } catch (error) {
      console.error(`It fails where ${name}:`, error);
      process.exitCode = 1;
    }
  }
}

await tell();
