CREATE TABLE app.users (
	id	bigserial PRIMARY KEY, -- the user's id
	name	text NOT NULL DEFAULT 'no;body', /* it's ; fine */
	email	varchar(255) UNIQUE,
	meta	jsonb NOT NULL DEFAULT '{"a;b": "c''d"}'::jsonb,
	created_at	timestamptz NOT NULL DEFAULT now()
);;
CREATE TABLE app.orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id bigint REFERENCES app.users ON DELETE CASCADE, total numeric(12,2) CHECK (total >= 0));
