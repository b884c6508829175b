/**
 * That what we decode is what the server says, by the types made from its OpenAPI document. Types only: a field
 * that the document does not have, or has as another kind, does not compile.
 */

import type { Decoder } from '../lib/decode';
import type * as model from './model';
import type { components } from './schema';

type Schemas = components['schemas'];
type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** The kind of a value; which word or number it is a decoder finds out. */
type Kind<T> = [NonNullable<T>] extends [never]
  ? 'nothing'
  : NonNullable<T> extends string
    ? 'text'
    : NonNullable<T> extends number
      ? 'number'
      : NonNullable<T> extends boolean
        ? 'boolean'
        : NonNullable<T> extends readonly unknown[]
          ? 'list'
          : 'object';

/** Names of the fields that are not in the document, or are of another kind there. */
type Wrong<Ours, Theirs> = {
  [K in keyof Ours]: K extends keyof Theirs ? (Kind<Ours[K]> extends Kind<Theirs[K]> ? never : K) : K;
}[keyof Ours];

type Agrees<Ours, Theirs> = [Wrong<Ours, Theirs>] extends [never] ? true : Wrong<Ours, Theirs>;

/** Fails to compile with the names of the fields that differ. */
type Checked<T extends readonly true[]> = T;

export type Contract = Checked<
  [
    Agrees<Decoded<typeof model.device>, Schemas['Device']>,
    Agrees<model.Spent, Schemas['Spent']>,
    Agrees<Decoded<typeof model.deviceAdded>, Schemas['Added']>,
    Agrees<model.Summary, Schemas['Summary']>,
    Agrees<model.ActivityList, Schemas['ActivityList']>,
    Agrees<model.ActivityList['devices'][number], Schemas['Activity']>,
    Agrees<model.QueryAnswer, Schemas['History']>,
    Agrees<model.Series, Schemas['Series']>,
    Agrees<model.Gap, Schemas['Gap']>,
    Agrees<model.Log, Schemas['Log']>,
    Agrees<model.LogGroup, Schemas['LogGroup']>,
    Agrees<model.LogGroups, Schemas['LogGroupList']>,
    Agrees<model.LogCounts, Schemas['LogCounts']>,
    Agrees<model.UsageSteps, Schemas['UsageSteps']>,
    Agrees<model.DeviceEvent, Schemas['Event']>,
    Agrees<model.Storage, Schemas['Storage']>,
    Agrees<model.Settings, Schemas['SettingsBody']>,
    Agrees<model.Retention, Schemas['Retention']>,
    Agrees<model.Tier, Schemas['TierBody']>,
    Agrees<model.User, Schemas['User']>,
    Agrees<model.SignedIn, Schemas['ListedSession']>,
    Agrees<model.ApiToken, Schemas['ApiToken']>,
    Agrees<model.Usage, Schemas['Usage']>,
    Agrees<model.UsageRow, Schemas['UsageRow']>,
    Agrees<model.Price, Schemas['PriceEntry']>,
    Agrees<model.UsedModel, Schemas['UsedModel']>,
    Agrees<model.Session, Schemas['SessionBody']>,
    Agrees<model.LiveState, Schemas['LiveState']>,
    Agrees<model.LogPage, Schemas['LogPage']>,
    Agrees<model.EventPage, Schemas['EventPage']>,
    Agrees<model.EnrollCode, Schemas['EnrollCode']>,
    Agrees<model.Install, Schemas['Install']>,
  ]
>;
