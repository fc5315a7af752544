import { describe, expect, it } from 'vitest';
import { ScramConversation } from '../../../../client/sasl/scram.ts';

/** The example of RFC 7677, section 3. */
const user = { username: 'user', password: 'pencil', nonce: 'rOprNGfwEbeRWgbNEkqO' };
const nonce = `${user.nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`;
const serverFirst = `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const serverFinal = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

describe('a conversation by SCRAM', () => {
  it('goes as in the example of its RFC', async () => {
    const talk = new ScramConversation('SCRAM-SHA-256', user);
    expect((await talk.first()).toString()).toBe(`n,,n=user,r=${user.nonce}`);
    expect((await talk.next(Buffer.from(serverFirst)))?.toString()).toBe(
      `c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`,
    );
    expect(await talk.next(Buffer.from(serverFinal))).toBeUndefined();
    talk.finish();
  });

  it('has commas and equal signs in names as codes', async () => {
    const talk = new ScramConversation('SCRAM-SHA-512', { ...user, username: 'a=b,c' });
    expect((await talk.first()).toString()).toContain('n=a=3Db=2Cc,');
  });

  it.each([
    [
      'another conversation',
      'r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      'not an answer to this conversation',
    ],
    [
      'nothing of its own',
      `r=${user.nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
      'not an answer to this conversation',
    ],
    ['too few iterations', serverFirst.replace('4096', '4095'), '4095 iterations'],
    ['too many', serverFirst.replace('4096', '1000001'), '1000001 iterations'],
    ['what is no SCRAM', 'hello', 'not an answer to this conversation'],
  ])('is refused to a broker with %s', async (_, first, message) => {
    const talk = new ScramConversation('SCRAM-SHA-256', user);
    await talk.first();
    await expect(talk.next(Buffer.from(first))).rejects.toMatchObject({
      code: 'SASL_AUTHENTICATION_FAILED',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ['another proof', 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl96G4='],
    ['a short one', 'v=6rri'],
    ['an error', 'e=other-error'],
    ['none', 'x'],
  ])('is refused to a broker that gives %s', async (_, final) => {
    const talk = new ScramConversation('SCRAM-SHA-256', user);
    await talk.first();
    await talk.next(Buffer.from(serverFirst));
    await expect(talk.next(Buffer.from(final))).rejects.toMatchObject({ code: 'SASL_AUTHENTICATION_FAILED' });
  });

  it('is refused to a broker that takes it for done before it has proved anything', async () => {
    const talk = new ScramConversation('SCRAM-SHA-256', user);
    await talk.first();
    await talk.next(Buffer.from(serverFirst));
    expect(await talk.next(Buffer.alloc(0))).toBeUndefined();
    expect(() => talk.finish()).toThrow('before it had proved');
  });
});
