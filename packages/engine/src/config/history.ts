// Changes come from the API, too: POST /password.
export { type Actor, type Change, type ChangeRecord, changeConfig, recordChange } from '@kg-operator/config';
