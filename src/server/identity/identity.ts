// Who is at the other end of a request: the interface behind which each way of proving it sits.

/** How somebody has shown who they are. */
export type Proof =
  /** A key of the client's own, on a server with --no-auth. */
  | { readonly kind: "key" }
  | { readonly kind: "admin-token" }
  /** An ID token, from a person who signed in. */
  | { readonly kind: "sign-in" }
  | { readonly kind: "machine-token"; readonly tokenId: string };

/** Somebody who owns names. */
export interface Identity {
  /** Stable and unique: compared, never shown. */
  readonly ownerId: string;
  /** As other people may read it: `key 3f9aB2c1`. */
  readonly ownerName: string;
  /** May see and end what belongs to others. */
  readonly isAdmin: boolean;
  /** What labels may be opened: each list has to hold one pattern (`ben-*`, `cat1`) that matches. No lists: any label. */
  readonly namePatterns: readonly (readonly string[])[];
  /** Unix time in ms at which the proof ends and another one is to be shown; null: never. */
  readonly expiresAt: number | null;
  /** A machine's token may do less than its owner. */
  readonly proof: Proof;
}

/**
 * Whether both were shown by the same holder: of one owner, by one token or by one way to sign in. A machine's token must
 * not go on with what its owner began, since it may do less.
 */
export function isSameProver(one: Identity, other: Identity): boolean {
  return one.ownerId === other.ownerId && proverOf(one.proof) === proverOf(other.proof);
}

function proverOf(proof: Proof): string {
  return proof.kind === "machine-token" ? proof.tokenId : proof.kind;
}

/** What of an HTTP request says who sent it. */
export interface IdentityRequest {
  /** The `Authorization` header, if there is exactly one. */
  readonly authorization: string | undefined;
  readonly method: string;
  /** The `Host` header. */
  readonly host: string;
  /** The request's path, without a query. */
  readonly path: string;
}

export interface Authenticator {
  /** For `WWW-Authenticate` (RFC 9110 §11.6.1). */
  readonly challenge: string;
  /**
   * @throws {DuplexityError} `DPX_AUTH_REQUIRED` when nothing of the right kind was shown, `DPX_AUTH_INVALID` when it
   * does not hold.
   */
  authenticate(request: IdentityRequest): Promise<Identity>;
  /** The same for a token alone, as `tokenRefresh` brings it. */
  authenticateToken(token: string): Promise<Identity>;
  /**
   * Whether what was shown once still holds: the account is there, the token not revoked. Asked at every renewal; no I/O.
   * Answers the identity as it is now (a role may have changed), or null. That a sign-in is over by the clock
   * (`expiresAt`) is for the caller to see, who may wait for another proof.
   */
  current(identity: Identity): Identity | null;
  /**
   * Whether an owner has gone for good: its account was removed, and nobody will ever prove to be it again.
   *
   * @default none ever has
   * @throws {DuplexityError} `DPX_STORE`
   */
  isGone?(ownerId: string): Promise<boolean>;
}

/** What may not come in, whoever asks: looked at in every door. No I/O. */
export interface Admission {
  /**
   * @param subject What is asked for, besides the identity itself.
   * @throws {DuplexityError} `DPX_BANNED`, with by whom, why and until when.
   */
  check(identity: Identity, subject: { readonly clientId?: string; readonly hostname?: string }): void;
}
