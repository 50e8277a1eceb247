// Who is at the other end of a request: the interface behind which each way of proving it sits.

/** Somebody who owns names. */
export interface Identity {
  /** Stable and unique: compared, never shown. */
  readonly ownerId: string;
  /** As other people may read it: `key 3f9aB2c1`. */
  readonly ownerName: string;
  /** May see and end what belongs to others. */
  readonly isAdmin: boolean;
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
}
