// How a pipe's gate sends a visitor to sign in with this server, and learns who it was: the interface between proxy and
// auth. No code.

export interface SignedInVisitor {
  readonly userId: string;
  readonly name: string;
  /** A path and query on the hostname: never another site. */
  readonly returnTo: string;
}

export interface VisitorSignIn {
  /**
   * Where a visitor of `hostname` goes to sign in.
   *
   * @param o.returnTo Path and query on `hostname`, beginning with one `/`; `redeem` answers it again.
   * @param o.state The gate's, bound to its cookie: 16 to 128 of `A-Z a-z 0-9 _ -`.
   */
  authorizeUrl(o: { readonly hostname: string; readonly returnTo: string; readonly state: string }): string;
  /**
   * Redeems the code that comes back on `https://hostname/.duplexity/signed-in?code=…&state=…`: it is good for 60 s, once,
   * for this hostname and state. Null for any other.
   */
  redeem(o: {
    readonly code: string;
    readonly hostname: string;
    readonly state: string;
  }): Promise<SignedInVisitor | null>;
  /** Whether the person may still come in: the account is there and not banned. No I/O. */
  isWelcome(userId: string): boolean;
}
