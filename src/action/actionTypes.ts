/** The types of calls of actions by name, from what `actionhero types` writes. */
import type { SchemaInput, StandardSchema } from "../input/types";
import type { UploadedFile } from "../input/file";
import type { Action } from "./action";

/** Signatures by name, and by name and version (`user:show@2`); empty unless a project has its `actions.gen.ts`. */
export interface ActionRegistry {} // eslint-disable-line @typescript-eslint/no-empty-object-type -- projects add to it

/** The types of calls of one action or task. */
export interface Signature {
  /** The params of callers. */
  params: object;
  /** The response for clients, as JSON. */
  response: any;
  /** The response for callers in the process. */
  result: any;
}

/** Of an action whose types are not known, such as one of a plugin. */
export interface AnySignature extends Signature {
  params: Record<string, any>;
}

/**
 * The signature of an export of an action file: a class, or what `defineAction` made. Member types are resolved lazily, because the
 * types of actions that call each other would otherwise be circular. A class whose `run` returns what its `output` does not
 * take is a compiler error at this place, in `actions.gen.ts`: `defineAction` can compare the two, the class itself cannot.
 */
export type ActionSignature<Exported extends WithFittingRun<Exported>> =
  InstanceOf<Exported> extends infer A
    ? A extends { run(...args: any[]): any }
      ? SignatureOf<A, ResponseOf<A>>
      : AnySignature
    : never;

/** The signature of an export of a task file. */
export type TaskSignature<Exported> =
  InstanceOf<Exported> extends infer T
    ? T extends { run(...args: any[]): infer Result }
      ? SignatureOf<T, Awaited<Result>>
      : AnySignature
    : never;

type InstanceOf<Exported> = Exported extends abstract new (
  ...args: any
) => infer Instance
  ? Instance
  : Exported;

/** The constraint of an exported class with a schema in `output`; other exports may be anything. */
type WithFittingRun<Exported> = [Exported] extends [
  abstract new (...args: any) => {
    output: infer Output extends StandardSchema;
  },
]
  ? abstract new (...args: any) => RunFitsOutput<Widened<SchemaInput<Output>>>
  : unknown;

/** The return values of `run` beside an object that fits the output: `data.response` is not checked. */
interface RunFitsOutput<Value> {
  run(...args: any[]): Value | null | void | Promise<Value | null | void>;
}

/** With literals as TypeScript infers them for what a function returns: `"ok"` is a string, and `[1, 2]` a list of numbers. */
type Widened<T> =
  IsAny<T> extends true
    ? any
    : T extends string
      ? string
      : T extends number
        ? number
        : T extends boolean
          ? boolean
          : T extends bigint
            ? bigint
            : T extends (...args: any) => unknown
              ? T
              : T extends readonly (infer Item)[]
                ? readonly Widened<Item>[]
                : T extends object
                  ? { [Key in keyof T]: Widened<T[Key]> }
                  : T;

interface SignatureOf<Declared, Result> {
  params: CallerParams<
    Declared extends { inputs?: infer I } ? NonNullable<I> : any
  >;
  response: Jsonified<Result>;
  result: Result;
}

/**
 * The response of an action class, or anything for one that is not named: by the schema of its `output`, which decides what is
 * sent, else what `run` returns.
 */
export type ResponseOf<A> = A extends { run(...args: any[]): infer Result } // cheaper to compare with than all of `Action`
  ? Exclude<Awaited<Result>, void | null> extends infer R
    ? [R] extends [never]
      ? { [key: string]: any }
      : A extends { output: infer Output extends StandardSchema }
        ? SchemaInput<Output>
        : R
    : never
  : any;

/**
 * The params of callers: the input of a schema; in a table, the input of the formatter, else a text. Without a known
 * type it is anything.
 */
export type CallerParams<I> =
  Given<I> extends infer P
    ? unknown extends P
      ? Record<string, any>
      : { [Key in keyof P]: WithFiles<P[Key]> }
    : never;

/** Distributes over both kinds of inputs; one of them is `any` if the class does not declare more. */
type Given<I> = I extends StandardSchema
  ? SchemaInput<I>
  : string extends keyof I
    ? any
    : { [Key in MandatoryKeys<I>]: GivenValue<I[Key]> } & {
        [Key in Exclude<keyof I, MandatoryKeys<I>>]?: GivenValue<I[Key]>;
      };

type MandatoryKeys<I> = {
  [Key in keyof I]: I[Key] extends { default: any }
    ? never
    : I[Key] extends { required: true }
      ? Key
      : never;
}[keyof I];

type GivenValue<I> = I extends { formatter: infer Formatter }
  ? Formatter extends (value: infer Value, ...more: any[]) => any
    ? unknown extends Value
      ? any
      : Value
    : any
  : I extends { file: { isList: infer IsList } }
    ? IsList extends true
      ? UploadedFile[]
      : UploadedFile
    : I extends { schema: infer Schema }
      ? Given<Schema>
      : string;

/** The value that clients send where an action gets an `UploadedFile`: a `File`, a `Blob`, or a stream with a name. */
export type FileParam =
  | { readonly size: number; arrayBuffer(): Promise<ArrayBuffer> }
  | { stream: AsyncIterable<Uint8Array>; name: string; type?: string };

type WithFiles<Value> = Value extends UploadedFile
  ? Value | FileParam
  : Value extends UploadedFile[]
    ? Value | FileParam[]
    : Value;

type IsAny<T> = 0 extends 1 & T ? true : false;

/** The type of a value after a round trip through JSON. */
export type Jsonified<T> =
  IsAny<T> extends true
    ? any
    : [T] extends [PlainJson] // as it is: TypeScript cannot map types of JSON that refer to themselves
      ? T
      : T extends string | number | boolean | bigint | null | undefined
        ? T
        : T extends { toJSON(...args: any[]): infer Json }
          ? Jsonified<Json>
          : T extends ((...args: any) => unknown) | symbol
            ? undefined
            : T extends object
              ? JsonifiedObject<T>
              : T;

/** Values that JSON leaves unchanged. */
type PlainJson =
  | string
  | number
  | boolean
  | null
  | undefined
  | { readonly [key: string]: PlainJson }
  | readonly PlainJson[];

/** JSON has the members of plain objects and lists; the framework sends an Error as its text. */
type JsonifiedObject<T extends object> = T extends Error
  ? string
  : T extends ArrayBufferView // before ArrayBuffer, whose members TypeScript 5.4 finds in it
    ? Record<number, number>
    : T extends ReadonlyMap<any, any> | ReadonlySet<any> | RegExp | ArrayBuffer
      ? object
      : { [Key in keyof T]: Jsonified<T[Key]> };

/** The first type for a project with a registry, the second for one without. */
export type IfKnown<Registry, Known, Unknown> = [keyof Registry] extends [never]
  ? Unknown
  : Known;

/** Names that the server's own calls take: those of the registry, or any without one. */
export type NameIn<Registry> = IfKnown<
  Registry,
  Exclude<keyof Registry & string, `${string}@${string}`>,
  string
>;

/** The names of actions, when `actions.gen.ts` tells them. */
export type ActionName = NameIn<ActionRegistry>;

/** Its key in the registry; a lookup for each call, since a search through all keys would take the compiler long. */
type KeyOf<
  Name extends string,
  Version extends string | number | undefined,
> = undefined extends Version ? Name : `${Name}@${Version}`;

type ActionMember<
  Name extends string,
  Version extends string | number | undefined,
  Part extends keyof Signature,
> = MemberOf<ActionRegistry, KeyOf<Name, Version>, Part>;

/** One part of a signature; of a name that is not there, anything. */
export type MemberOf<
  Registry,
  Name,
  Part extends keyof Signature,
> = Name extends keyof Registry
  ? Part extends keyof Registry[Name] // an index costs the compiler less than `infer`
    ? Registry[Name][Part]
    : AnySignature[Part]
  : AnySignature[Part];

/** True when a call may leave the params out. */
export type IsOptional<Params> = string extends keyof Params
  ? true
  : object extends Params
    ? true
    : false;

/** The arguments after name and version in `action.run`: params that must be given, unless the class of the action is named. */
export type RunArguments<
  ActionClass,
  Name extends string,
  Version extends string | number | undefined,
> = IfKnown<
  ActionRegistry,
  [ActionClass] extends [Action]
    ? AnyRunArguments
    : KeyOf<Name, Version> extends keyof ActionRegistry
      ? ActionMember<Name, Version, "params"> extends infer Params
        ? KnownRunArguments<Params>
        : never
      : [noSuchVersion: never],
  AnyRunArguments
>;

type AnyRunArguments = [
  params?: { [key: string]: any } | null,
  connectionProperties?: { [key: string]: any },
];

type KnownRunArguments<Params> =
  IsOptional<Params> extends true
    ? [params?: Params | null, connectionProperties?: { [key: string]: any }]
    : [params: Params, connectionProperties?: { [key: string]: any }];

/** The result of `action.run`: by the class of the action, else by its name. */
export type RunResult<
  ActionClass,
  Name extends string,
  Version extends string | number | undefined = undefined,
> = IfKnown<
  ActionRegistry,
  [ActionClass] extends [Action]
    ? ResponseOf<ActionClass>
    : ActionMember<Name, Version, "result">,
  ResponseOf<ActionClass>
>;

/** The arguments after the name in `specHelper.runAction`: params or a connection. */
export type HelperArguments<ActionClass, Name extends string, Client> = IfKnown<
  ActionRegistry,
  [ActionClass] extends [Action]
    ? AnyHelperArguments<Client>
    : ActionMember<Name, undefined, "params"> extends infer Params
      ? KnownHelperArguments<Params, Client>
      : never,
  AnyHelperArguments<Client>
>;

type AnyHelperArguments<Client> = [
  input?: Partial<Client> | { [key: string]: any },
];

type KnownHelperArguments<Params, Client> = string extends keyof Params
  ? AnyHelperArguments<Client>
  : IsOptional<Params> extends true
    ? [input?: Params | Client]
    : [input: Params | Client];
