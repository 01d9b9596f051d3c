/** Chat templates with the features of published ones, against what Jinja2 makes of them (`reference/templates.json`). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ChatMessage, chatTemplate } from './index.ts';

interface Reference {
  readonly templates: Readonly<Record<string, string>>;
  readonly conversations: readonly { name: string; messages: ChatMessage[]; variables: Record<string, unknown> }[];
  /** A text of null is a refusal. */
  readonly rendered: readonly { template: string; conversation: string; text: string | null }[];
}
const reference: Reference = JSON.parse(readFileSync(new URL('./reference/templates.json', import.meta.url), 'utf8'));
const date = new Date(2024, 6, 4, 15, 5, 9);

describe.each(Object.entries(reference.templates))('%s', (name, source) => {
  const render = chatTemplate(source, { bosToken: '<s>', eosToken: '</s>' });
  const cases = reference.rendered.filter(({ template }) => template === name);
  test.each(cases.map((each) => [each.conversation, each.text] as const))('%s', (conversation, text) => {
    const { messages, variables } = reference.conversations.find((each) => each.name === conversation)!;
    const run = () => render(messages, { date, variables });
    if (text === null) expect(run).toThrow(expect.objectContaining({ code: 'BAD_TEMPLATE' }));
    else expect(run()).toBe(text);
  });
});
