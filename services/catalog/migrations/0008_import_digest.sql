-- What an import was made of, so that another file under the same Idempotency-Key is told apart.
ALTER TABLE catalog.import ADD COLUMN digest bytea;
