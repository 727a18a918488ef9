/** Clients that behave, beside those that attack: each asks, waits for the answer, and asks again. */
import { once } from "node:events";
import * as net from "node:net";
import * as readline from "node:readline";
import WebSocket from "ws";
import { ask } from "../support/ask";
import type { Target } from "./project";

const PAUSE_MS = 50;

export interface HonestReport {
  answered: Record<string, number>;
  /** What was not answered as it should have been. */
  failures: string[];
  /** Of all answers, in ms. */
  slowestMs: number;
}

type Question = (text: string) => Promise<unknown>;

/** Ask on all transports until `stop`. */
export class HonestClients {
  private readonly report: HonestReport = {
    answered: {},
    failures: [],
    slowestMs: 0,
  };
  private isStopping = false;
  private readonly ends: (() => void)[] = [];
  private loops: Promise<void>[] = [];

  constructor(private readonly target: Target) {}

  async start(): Promise<void> {
    const questions: Record<string, Question> = {
      http: await this.http(),
      websocket: await this.websocket(),
      tcp: await this.tcp(),
    };
    this.loops = Object.entries(questions).map(([name, question]) =>
      this.loop(name, question),
    );
  }

  async stop(): Promise<HonestReport> {
    this.isStopping = true;
    await Promise.all(this.loops);
    for (const end of this.ends) end();
    return this.report;
  }

  private async loop(name: string, question: Question): Promise<void> {
    for (let count = 1; !this.isStopping; count++) {
      const text = `${name} ${count}`;
      const started = performance.now();
      const answer = await question(text).catch(String);
      const took = performance.now() - started;
      this.report.slowestMs = Math.max(this.report.slowestMs, Math.round(took));
      this.report.answered[name] = count;
      if (answer !== text)
        this.report.failures.push(`${text}: ${JSON.stringify(answer)}`);
      if (this.report.failures.length > 20) return;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private async http(): Promise<Question> {
    const { http } = this.target.ports;
    return async (text) => {
      const { status, json } = await ask(
        http,
        `/api/echo?text=${encodeURIComponent(text)}`,
      );
      return status === 200 ? (json.text as string) : status;
    };
  }

  private async websocket(): Promise<Question> {
    const ws = new WebSocket(`ws://127.0.0.1:${this.target.ports.http}/primus`);
    await once(ws, "open");
    const waiting = new Map<unknown, (answer: unknown) => void>();
    ws.on("message", (data: Buffer) => {
      const message = JSON.parse(String(data)) as
        Record<string, unknown> | string;
      if (typeof message === "string") {
        const ping = /^primus::ping::(\d+)$/.exec(message)?.[1];
        if (ping) ws.send(JSON.stringify(`primus::pong::${ping}`));
        return;
      }
      waiting.get(message.messageId)?.(message.text ?? message.error);
    });
    ws.on("close", (code) =>
      waiting.forEach((answer) => answer(`cut: ${code}`)),
    );
    this.ends.push(() => ws.terminate());
    return (text) =>
      new Promise((resolve) => {
        waiting.set(text, resolve);
        const params = { action: "echo", text };
        ws.send(JSON.stringify({ event: "action", messageId: text, params }));
      });
  }

  private async tcp(): Promise<Question> {
    const socket = net.connect(this.target.ports.tcp, "127.0.0.1");
    await once(socket, "connect");
    const waiting = new Map<unknown, (answer: unknown) => void>();
    readline.createInterface({ input: socket }).on("line", (line) => {
      const message = JSON.parse(line) as Record<string, unknown>;
      waiting.get(message.messageId)?.(message.text ?? message.error);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => waiting.forEach((answer) => answer("cut")));
    this.ends.push(() => socket.destroy());
    return (text) =>
      new Promise((resolve) => {
        waiting.set(text, resolve);
        const params = { text, messageId: text };
        socket.write(`${JSON.stringify({ action: "echo", params })}\r\n`);
      });
  }
}
