// Another OpenID provider, as a company has one: everybody who comes is `subject-1`, with the claims that the test sets.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { StoreAdapter } from "../../src/server/auth/store-adapter.ts";
import { MemoryStore } from "../../src/server/store/index.ts";
import type { Stage } from "./stage.ts";

export const OUTSIDE_CLIENT = { clientId: "duplexity", clientSecret: "s".repeat(32) } as const;

export interface OutsideProvider {
  readonly issuer: string;
  readonly port: number;
  /** What it says of whoever signs in. */
  claims: Record<string, unknown>;
  /** Null: it lets everybody in; otherwise the error that it answers. */
  refusal: string | null;
  /** It cuts every connection. */
  isAway: boolean;
  /** Requests by path. */
  readonly asked: string[];
}

/** @param callback Its client's redirect URI: `https://tunnel.example.com/auth/outside/callback`. */
export async function startOutsideProvider(stage: Stage, callback: string): Promise<OutsideProvider> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  stage.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const asked: string[] = [];
  const outside: OutsideProvider = { issuer, port, asked, claims: {}, refusal: null, isAway: false };
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const { clientId, clientSecret } = OUTSIDE_CLIENT;
  const store = new MemoryStore();
  const provider = new Provider(issuer, {
    adapter: (model) => new StoreAdapter(store, model),
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: "RS256", use: "sig" }] },
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [callback] }],
    claims: {
      openid: ["sub"],
      profile: ["preferred_username"],
      email: ["email", "email_verified"],
      groups: ["groups"],
    },
    scopes: ["openid", "profile", "email", "groups"],
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...outside.claims }) }),
    cookies: { keys: ["x".repeat(32)] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx, { uid }) => `/let-in/${uid}` },
    ttl: { AccessToken: 60, Grant: 60, IdToken: 60, Interaction: 60, Session: 60 },
  });
  const serve = provider.callback();
  server.on("request", (request, response) => {
    if (outside.isAway) {
      request.socket.destroy();
      return;
    }
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    asked.push(path);
    if (!path.startsWith("/let-in/")) {
      void serve(request, response);
      return;
    }
    void (async () => {
      if (outside.refusal !== null) {
        await provider.interactionFinished(request, response, { error: outside.refusal });
        return;
      }
      const grant = new provider.Grant({ accountId: "subject-1", clientId });
      grant.addOIDCScope("openid profile email groups");
      const grantId = await grant.save();
      await provider.interactionFinished(request, response, {
        login: { accountId: "subject-1" },
        consent: { grantId },
      });
    })();
  });
  return outside;
}
