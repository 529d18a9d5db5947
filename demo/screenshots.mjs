// Takes the pictures of the README: `node demo/screenshots.mjs [everyone] [chat] [thousand]`. Light and dark, wide and narrow.
// Needs the fonts Inter and Noto Color Emoji, in the system or in $XDG_DATA_HOME/fonts.
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = `${root}docs/screenshots`;
const { module } = await runnerImport(`${root}test/browser/page.ts`, { root, configFile: false, logLevel: 'warn' });
const { openDemo, openTab, untilAnswered } = module;

const sizes = { wide: { width: 1280, height: 860 }, narrow: { width: 360, height: 740 } };
const schemes = ['light', 'dark'];

await mkdir(folder, { recursive: true });
const harness = await openDemo();
const { page } = await openTab(harness);

async function pictures(view) {
  // Sizes need a moment: the strip is drawn anew with the next frame.
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(150);
      await page.screenshot({ path: `${folder}/${view}-${size}-${colorScheme}.png`, animations: 'disabled' });
    }
  }
}

const views = {
  // While text streams, and everybody has said something.
  everyone: async () => {
    await page.locator('#everyone-send').click();
    const allSpeak = () => [...document.querySelectorAll('.card[data-voice] .card-answer')].every(({ textContent }) => textContent !== '');
    await page.waitForFunction(allSpeak, undefined, { timeout: 120_000 });
    await pictures('everyone');
    await untilAnswered(page);
  },
  chat: async () => {
    const turns = [
      ['pirate', 'Hey there, can I meet Selena Sanders on Sunday at 9 am? You are always so helpful!'],
      ['spanish', 'Hi, I am still waiting for order 16024. Thanks.'],
      ['json', 'Please send it to 16 Rivera Street, Danielmouth.'],
    ];
    for (const [voice, message] of turns) {
      await page.locator(`label.voice:has(input[value="${voice}"])`).click();
      await page.locator('#chat-message').fill(message);
      await page.locator('#chat-message').press('Enter');
      await untilAnswered(page);
    }
    await pictures('chat');
  },
  // In the middle of a storm, when adapters move in and out of every tier. Software devices take their time.
  thousand: async () => {
    await page.locator('#storm-send').click();
    const isInFull = () => Number.parseInt(document.querySelector('#storm-progress').textContent, 10) >= 300;
    await page.waitForFunction(isInFull, undefined, { timeout: 1_200_000 });
    await pictures('thousand');
  },
};
const wanted = process.argv.slice(2);
for (const [name, take] of Object.entries(views)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  await page.evaluate((view) => (location.hash = view), name);
  await take();
}
await harness.close();
process.exit(0);
