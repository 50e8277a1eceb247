// Keeps refresh tokens as the store adapter keeps all that the provider gives out, and lets one whose answer was lost be
// redeemed again. Which one is good says the chain.

import type { AdapterPayload } from "oidc-provider";
import type { Store } from "../store/index.ts";
import { KEPT_AFTER_END_S, REFRESH_TOKEN_S } from "./lifetimes.ts";
import { RefreshChains } from "./refresh-chain.ts";
import { hashOf, RedeemedTwice, StoreAdapter } from "./store-adapter.ts";

/**
 * What is left of a refresh token that cannot be redeemed any more, for a month and once an hour: enough for the provider to
 * come to the point where it ends the grant, should the token come all the same.
 */
const KEPT_OF_OUTLIVED = ["accountId", "authTime", "clientId", "exp", "grantId", "iat", "kind", "scope"] as const;

export class RefreshTokenAdapter extends StoreAdapter {
  readonly #chains: RefreshChains;

  /** @param now Unix time in ms. */
  constructor(store: Store, now: () => number = Date.now) {
    super(store, "RefreshToken");
    this.#chains = new RefreshChains(store, now);
  }

  override async upsert(id: string, payload: AdapterPayload, expiresInS: number = REFRESH_TOKEN_S): Promise<void> {
    await super.upsert(id, payload, expiresInS);
    if (payload.grantId === undefined) return;
    await this.#chains.add(payload.grantId, hashOf(id), (expiresInS + KEPT_AFTER_END_S) * 1_000);
  }

  /** `consumed` if it is not good (any more): then the provider ends the grant. */
  override async find(id: string): Promise<AdapterPayload | undefined> {
    const found = await super.find(id);
    if (found?.grantId === undefined || (await this.#chains.isGood(found.grantId, hashOf(id)))) return found;
    return { ...found, consumed: Math.floor(Date.now() / 1_000) };
  }

  override async consume(id: string): Promise<void> {
    const { grantId } = (await super.find(id)) ?? {};
    if (grantId === undefined) throw new RedeemedTwice(false);
    const { isGood, outlived } = await this.#chains.redeem(grantId, hashOf(id));
    if (outlived !== null) await this.shorten(outlived, KEPT_OF_OUTLIVED);
    if (isGood) return;
    // RFC 9700 §4.14.2: somebody else has it, and nobody knows who of the two is the thief.
    throw new RedeemedTwice(await this.endGrant(grantId));
  }

  protected override async endGrant(grantId: string): Promise<boolean> {
    const hasEnded = await super.endGrant(grantId);
    await this.#chains.end(grantId);
    return hasEnded;
  }
}
