import { describe, expect, test } from 'vitest';
import { type ChatMessage, chatTemplate, chatTemplateOfConfig, chatTemplateOfGguf } from './index.ts';
import { strftime } from './strftime.ts';
import { tinyGgufMetadata, tinyJson } from './testing/tiny.ts';

const tokens = { bosToken: '<|bos|>', eosToken: '<|end|>' };
const user = (content: string): ChatMessage => ({ role: 'user', content });
const render = (source: string, messages = [user('Hi')], options = {}): string =>
  chatTemplate(source, tokens)(messages, options);

describe('the embedded template', () => {
  const chat = chatTemplate(chatTemplateOfConfig(tinyJson('tokenizer_config.json'))!, tokens);
  const { goldens } = tinyJson('goldens.json') as unknown as { goldens: { prompt: string; text: string }[] };

  test.each(goldens.map(({ prompt, text }) => [prompt, text]))('renders the golden: %s', (prompt, text) => {
    expect(chat([user(prompt)])).toBe(text);
  });

  test('renders a longer conversation', () => {
    const messages = [
      { role: 'system', content: ' Be kind. ' },
      user('One?'),
      { role: 'assistant', content: 'Two.' },
      user('Three?'),
    ];
    expect(chat(messages)).toBe('<|bos|><|user|>Be kind.\n\nOne?<|assistant|>Two.<|end|><|user|>Three?<|assistant|>');
    expect(chat(messages.slice(1, 3), { addGenerationPrompt: false })).toBe(
      '<|bos|><|user|>One?<|assistant|>Two.<|end|>',
    );
  });
});

describe('what templates can use', () => {
  test('tokens, further variables, and undefined ones', () => {
    expect(render('{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ tools }}')).toBe('<|bos|>Hi<|end|>');
    const named = { ...user('Hi'), name: 'Ann' };
    const variables = { tools: [1, 2] };
    expect(render('{{ tools | length }}{{ messages[0].name }}', [named], { variables })).toBe('2Ann');
  });

  test('blocks leave no line ends behind', () => {
    expect(render('{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n.')).toBe('user\n.');
  });

  test('the date', () => {
    const date = new Date(2024, 6, 4, 15, 5, 9);
    expect(render("{{ strftime_now('%d %b %Y') }}", [user('Hi')], { date })).toBe('04 Jul 2024');
    expect(strftime(date, '%A %a %B %e %y %m %H:%M:%S %I %p 100%% %Q')).toBe(
      'Thursday Thu July  4 24 07 15:05:09 03 PM 100% %Q',
    );
  });

  test('range with one, two and three arguments', () => {
    expect(render('{% for i in range(3) %}{{ i }}{% endfor %}')).toBe('012');
    expect(render('{% for i in range(1, 4) %}{{ i }}{% endfor %}')).toBe('123');
    expect(render('{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}')).toBe('531');
    expect(render('{% for i in range(5, 0) %}{{ i }}{% endfor %}')).toBe('');
  });
});

describe('failures', () => {
  test('a refusal says why', () => {
    expect(() => render("{{ raise_exception('roles must alternate') }}")).toThrow(
      expect.objectContaining({
        code: 'BAD_TEMPLATE',
        message: 'the chat template refuses this conversation: roles must alternate',
      }),
    );
  });

  test.each([
    ['syntax', '{% if %}'],
    ['an open block', '{% for m in messages %}'],
    ['an unknown filter', "{{ 'a' | mystery }}"],
    ['a call of nothing', '{{ mystery() }}'],
    ['counting without end', '{% for i in range(10 ** 12) %}{% endfor %}'],
    ['counting in steps of nothing', '{% for i in range(0, 5, 0) %}{% endfor %}'],
    ['counting many times', '{{ range(60000) | length }}{{ range(60000) | length }}'],
    ['endless recursion', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}'],
  ])('%s is BAD_TEMPLATE', (_, source) => {
    expect(() => render(source)).toThrow(expect.objectContaining({ code: 'BAD_TEMPLATE' }));
  });

  test('no messages are EMPTY_PROMPT', () => {
    expect(() => render('', [])).toThrow(expect.objectContaining({ code: 'EMPTY_PROMPT' }));
  });
});

describe('where templates are found', () => {
  test('tokenizer_config.json has one or several', () => {
    expect(chatTemplateOfConfig({ chat_template: 'A' })).toBe('A');
    const several = {
      chat_template: [
        { name: 'tool_use', template: 'T' },
        { name: 'default', template: 'D' },
      ],
    };
    expect([chatTemplateOfConfig(several), chatTemplateOfConfig(several, 'tool_use')]).toEqual(['D', 'T']);
    expect([chatTemplateOfConfig(several, 'rag'), chatTemplateOfConfig({}), chatTemplateOfConfig(null)]).toEqual([
      null,
      null,
      null,
    ]);
    expect(chatTemplateOfConfig({ chat_template: [7, { name: 'default' }] })).toBeNull();
  });

  test('GGUF metadata has it by key', () => {
    expect(chatTemplateOfGguf(tinyGgufMetadata())).toBe(tinyJson('tokenizer_config.json').chat_template);
    expect(chatTemplateOfGguf(new Map([['tokenizer.chat_template.tool_use', 'T']]), 'tool_use')).toBe('T');
    expect(chatTemplateOfGguf(new Map([['tokenizer.chat_template', 5]]))).toBeNull();
  });
});
