CREATE TABLE app."Größe; 数量 😀" ("naïve" text DEFAULT '日本語; 😀', ünïcode int);
INSERT INTO app."Größe; 数量 😀" (ünïcode) VALUES (1);
COMMENT ON TABLE app."Größe; 数量 😀" IS '🚀 – „quoted“; ''done''';
