// Both sockets to the server: control first, then the dialer, registered. Makes
// what is missing when it is told to, and tells what was lost; when to try
// again is not its business.

import {
  asDuplexityError,
  type DiscoveryResponse,
  DuplexityError,
  disconnectError,
  type PipesAreRegisteredResponse,
  SessionLink,
} from "../protocol/index.ts";
import { type Control, dialControl } from "./control.ts";
import type { Credential } from "./credential.ts";
import { dialLink } from "./dialer.ts";
import { checkGates, discover, isInCluster } from "./discovery.ts";
import type { SealedPipe } from "./gate.ts";
import { PipeList } from "./pipe-list.ts";
import { followRedirects } from "./redirects.ts";
import { dialRequest, type Registration, registrationOf, targetsOf, targetsWanted } from "./registration.ts";
import { Reply } from "./reply.ts";
import { dialerUrl } from "./server-url.ts";
import type { Servers } from "./servers.ts";
import type { SessionSet } from "./session-set.ts";
import type { PacedLink } from "./slow-links.ts";
import { MAX_MOVE_DELAY_MS } from "./waits.ts";

/** What all uplinks of a tunnel have in common. */
export interface TunnelUplinkOptions {
  readonly clientId: string;
  readonly wantsReports: boolean;
  readonly sessions: SessionSet;
  readonly credential: Credential;
  /** The session of the hub that has the link is over: only a new dial gets a new one. */
  onSessionEnd(uplink: Uplink, error: DuplexityError): void;
  /** An admin or the owner elsewhere ended this client. */
  onForceDisconnect(error: DuplexityError): void;
}

export interface UplinkOptions extends TunnelUplinkOptions {
  readonly servers: Servers;
  readonly pipes: readonly SealedPipe[];
  /** The pipes are registered over another hub: this is another way only. */
  readonly isSecond: boolean;
  /** A node that is of no use until this uplink is up: it is left for another one. @default none */
  readonly avoids?: string | null;
  /** The control socket or the link is gone. Also while `establish` runs, which then rejects or makes a new one. */
  onLost(error: DuplexityError): void;
  /** The server has said that it will close the sockets. */
  onDrain(): void;
}

/** What a dial is for. */
export interface DialAim {
  /** Whether a hub that refuses some of the pipes is of use for the others. */
  readonly isPartial: boolean;
  /** Those that other hubs have refused: a hub that does so as well has not taken the others over by then. @default none */
  readonly first?: readonly SealedPipe[];
  /** How long the control socket may take to open. @default 10_000 */
  readonly dialTimeoutMs?: number;
}

interface Attempt extends DialAim {
  readonly signal: AbortSignal;
}

const DIAL_TIMEOUT_MS = 10_000;
/** How long the hub may take to register the pipes. */
const REGISTER_TIMEOUT_MS = 15_000;
/** When it refuses them it closes the dialer, too: its reason may come a little later, on the control socket. */
const REASON_TIMEOUT_MS = 1_000;

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #pipes: PipeList;
  #control: Control | null = null;
  #link: SessionLink | null = null;
  #url: URL | null = null;
  #nodeId: string | null = null;
  #isInCluster = false;
  #moveDelayMs = 0;
  #dataPlaneUri: string | null = null;
  #avoids: string | null;
  #registration: Reply<PipesAreRegisteredResponse> | null = null;
  /** The one that is up while another is dialled to take its place. */
  #before: SessionLink | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#avoids = options.avoids ?? null;
    this.#pipes = new PipeList(options.clientId, options.pipes);
  }

  /** Those that are dialled with. */
  get pipes(): readonly SealedPipe[] {
    return this.#pipes.open;
  }

  get hasControl(): boolean {
    return this.#control !== null;
  }

  get hasLink(): boolean {
    return this.#link !== null;
  }

  /** Where control was dialled last. */
  get url(): URL | null {
    return this.#url;
  }

  /** Who answered there. */
  get nodeId(): string | null {
    return this.#nodeId;
  }

  /** Whether there may be other hubs. */
  get isInCluster(): boolean {
    return this.#isInCluster;
  }

  /** How long after its hub is gone it is to come to another one, as that has said; 0: it has not. */
  get moveDelayMs(): number {
    return this.#moveDelayMs;
  }

  /** The address of its hub's own, as that has said. */
  get dataPlaneUri(): string | null {
    return this.#dataPlaneUri;
  }

  /** The link, as far as its pace is concerned; null while there is none. */
  get pace(): PacedLink | null {
    return this.#link;
  }

  get rttMs(): number | null {
    return this.#link?.rttMs ?? null;
  }

  /**
   * Dials what is missing, at another hub when this one sends it there. Answers what the server registered, or null when the
   * link was there all the time.
   *
   * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`, or with what the server refused it.
   */
  establish(signal: AbortSignal, aim: DialAim = { isPartial: false }): Promise<Registration | null> {
    const attempt = { signal, ...aim };
    return followRedirects(this.#options.servers, signal, (redirects) => this.#establish(redirects, attempt));
  }

  async #establish(redirects: number, attempt: Attempt): Promise<Registration | null> {
    const control = this.#control ?? (await this.#openControl(attempt));
    const discovery = await this.#discover(control, redirects);
    const registration = this.#link === null ? await this.#openLink(control, discovery, attempt) : null;
    void this.#pipes.tell(this.#control);
    return registration;
  }

  /**
   * Dials once more with all pipes, after some were refused: over another link of the same control socket, which takes the
   * place of the one that is there. That one stays when it fails.
   *
   * @throws {DuplexityError} As `establish`; `DPX_LINK_LOST` without a control socket.
   */
  async dialAgain(signal: AbortSignal): Promise<Registration> {
    const control = this.#control;
    if (control?.isKnown !== true) throw new DuplexityError("DPX_LINK_LOST", "There is no control socket");
    const discovery = await this.#discover(control, 0);
    return this.#openLink(control, discovery, { signal, isPartial: false });
  }

  /**
   * Dials no more with the pipes that are called so. Resolves when the server has freed their names, or at once when it
   * cannot be told now: then it is told as soon as it can be.
   */
  async closePipes(names: readonly string[]): Promise<void> {
    this.#pipes.close(names);
    await this.#pipes.tell(this.#control);
  }

  /** Asks the hub anew which others there are. Never rejects. */
  async refreshAlternatives(): Promise<void> {
    const control = this.#control;
    if (control?.isKnown !== true) return;
    await this.#discover(control, 0).catch(() => {});
  }

  /** Says goodbye, so that the names are free at once. */
  sayGoodbye(reason: string): void {
    const control = this.#control;
    if (control?.isKnown === true) {
      control.send({ type: "clientDisconnectRequest", clientId: this.#options.clientId, reason });
    }
  }

  /** Shows a fresh token, so that the server goes on without a new dial. Without a control socket the next dial shows one. */
  refreshToken(token: string): void {
    if (this.#control?.isKnown === true) this.#control.send({ type: "tokenRefresh", token });
  }

  /** Closes both sockets for good and resolves when that is done. */
  async close(error: DuplexityError): Promise<void> {
    const control = this.#control;
    const link = this.#link;
    this.#control = null;
    this.#link = null;
    this.#registration?.reject(error);
    link?.close(error.code, error.message);
    await control?.close(error.code, error.message);
  }

  /** Drops both sockets without a word: they are believed to be dead. */
  abort(error: DuplexityError): void {
    const control = this.#control;
    this.#control = null;
    control?.terminate(error);
    this.#link?.abort(error);
    // The link tells the loss; without one the control socket's has to be told here.
    if (control !== null) this.#options.onLost(error);
  }

  async #openControl({ signal, dialTimeoutMs = DIAL_TIMEOUT_MS }: Attempt): Promise<Control> {
    const { servers, credential } = this.#options;
    const url = servers.current;
    this.#url = url;
    let control: Control | null = null;
    control = await dialControl({
      url,
      authorization: await credential.authorize(url, signal),
      timeoutMs: dialTimeoutMs,
      signal,
      handler: {
        onRegistered: (message) => this.#registration?.resolve(message),
        onForceDisconnect: (message) => this.#options.onForceDisconnect(disconnectError(message)),
        onDrain: ({ dataPlaneUris }) => {
          this.#options.servers.learn(dataPlaneUris);
          this.#options.onDrain();
        },
        onClose: (error) => this.#controlClosed(control, error),
      },
    });
    // It may have been closed in the turn between.
    if (!control.isOpen) throw new DuplexityError("DPX_LINK_LOST", "The control socket closed at once");
    this.#control = control;
    return control;
  }

  async #discover(control: Control, redirects: number): Promise<DiscoveryResponse> {
    const { clientId, isSecond, servers } = this.#options;
    const avoids = this.#avoids;
    try {
      // A second link is for another hub than the first one's: not for any.
      const discovery = await discover(control, { clientId, avoids, ...(isSecond ? {} : { redirects }) });
      servers.learn(discovery.alternatives);
      this.#nodeId = discovery.nodeId;
      this.#isInCluster = isInCluster(discovery);
      this.#dataPlaneUri = discovery.dataPlaneUri;
      this.#moveDelayMs = Math.min(discovery.moveDelayMs ?? 0, MAX_MOVE_DELAY_MS);
      return discovery;
    } catch (error) {
      // Refused, silent or of another version: nothing more is to be had from this socket.
      if (this.#control === control) this.#control = null;
      control.terminate(asDuplexityError(error));
      throw error;
    }
  }

  async #openLink(control: Control, discovery: DiscoveryResponse, attempt: Attempt): Promise<Registration> {
    const { sessions, credential } = this.#options;
    const { signal, isPartial, first = [] } = attempt;
    const before = this.#link;
    const pipes = this.#pipes.open;
    checkGates(pipes, discovery);
    const url = dialerUrl(this.#url ?? this.#options.servers.current, discovery.dataPlaneUri);
    // Before the answer comes on the other socket, visitors may come on this one.
    sessions.setTargets(targetsWanted(pipes, discovery.domain));
    const { resumeWindowMs, limits } = discovery;
    sessions.setTerms({ resumeWindowMs, maxStreams: limits.maxStreams, hasOtherNodes: this.#isInCluster });
    const late = (): DuplexityError =>
      new DuplexityError("DPX_LINK_DEAD", "The server did not register the pipes in time");
    const registration = new Reply<PipesAreRegisteredResponse>(REGISTER_TIMEOUT_MS, late);
    this.#registration = registration;
    this.#before = before;
    let sessionLink: SessionLink | null = null;
    try {
      const link = await dialLink({
        url,
        authorization: await credential.authorize(url, signal),
        ticket: discovery.ticket,
        request: dialRequest(inOrder(pipes, first), { ...this.#options, isPartial }),
        timeoutMs: DIAL_TIMEOUT_MS,
        signal,
      });
      const brought = sessions.link((error) => this.#options.onSessionEnd(this, error));
      const opened = new SessionLink(link, {
        heartbeat: discovery.heartbeat,
        acceptSession: (id) => brought.accept(id),
        onClose: (error) => {
          brought.detach();
          this.#linkClosed(opened, error);
        },
        onGoAway: () => this.#options.onDrain(),
      });
      sessionLink = opened;
      if (!control.isOpen) throw new DuplexityError("DPX_LINK_LOST", "The control socket closed meanwhile");
      this.#link = opened;
      const { pipes: results } = await registration.promise;
      const outcome = registrationOf(pipes, results, isPartial);
      const refused = outcome.refused.map(({ pipe }) => pipe);
      // Another hub may have the refused ones still, and what runs there goes on.
      sessions.setTargets(
        new Map([...targetsWanted(refused, discovery.domain), ...targetsOf(pipes, outcome.registered)]),
      );
      this.#pipes.dialled(pipes);
      // It is elsewhere now. When that is lost as well, the one that was left may be the only one there is.
      this.#avoids = null;
      return outcome;
    } catch (error) {
      const failure = asDuplexityError(error);
      sessionLink?.close(failure.code, failure.message);
      if (before === null) this.#link = this.#link === sessionLink ? null : this.#link;
      else if (sessionLink !== null) this.#keep(before, control, failure);
      throw error;
    } finally {
      registration.reject(new DuplexityError("DPX_CANCELLED", "Nobody waits for it any more"));
      this.#registration = null;
      this.#before = null;
    }
  }

  /** The link that was to take the place of `before` did not come up. */
  #keep(before: SessionLink, control: Control, error: DuplexityError): void {
    const isOver = this.#control !== control;
    this.#link = before.isOpen && !isOver ? before : null;
    if (this.#link !== null) return;
    before.abort(error);
    // It was lost while it was not the one that counts: nobody has told of it.
    if (!isOver) this.#options.onLost(error);
  }

  #controlClosed(control: Control | null, error: DuplexityError): void {
    this.#registration?.reject(error);
    if (control === null || this.#control !== control) return;
    this.#control = null;
    this.#options.onLost(error);
  }

  #linkClosed(link: SessionLink, error: DuplexityError): void {
    if (this.#link !== link) return;
    this.#link = null;
    if (this.#registration !== null && link !== this.#before) {
      // It was not up yet: `establish` tells of it.
      const hasReason = error.code !== "DPX_LINK_LOST" && error.code !== "DPX_LINK_DEAD";
      this.#registration.rejectAfter(hasReason ? REASON_TIMEOUT_MS : 0, error);
      return;
    }
    // The control socket takes the same way: what swallowed the link's packets swallows its messages, too.
    if (error.code === "DPX_LINK_DEAD" && this.#control !== null) {
      const control = this.#control;
      this.#control = null;
      control.terminate(error);
    }
    this.#options.onLost(error);
  }
}

/** `pipes`, and of these the ones in `first` before the others. */
function inOrder(pipes: readonly SealedPipe[], first: readonly SealedPipe[]): readonly SealedPipe[] {
  const isFirst = (pipe: SealedPipe): boolean => first.includes(pipe);
  return [...pipes.filter(isFirst), ...pipes.filter((pipe) => !isFirst(pipe))];
}
