-- Clicks come from reco by the id that an answer carried; a job adds them to the query's day.
ALTER TABLE search.query_day
	ADD COLUMN id text COLLATE "C", -- what answers to this query carry
	ADD COLUMN positions bigint NOT NULL DEFAULT 0; -- sum of the places that were clicked
CREATE INDEX query_day_id ON search.query_day (id, day);
CREATE TABLE search.click (
	day       date NOT NULL DEFAULT current_date,
	id        text COLLATE "C" NOT NULL,
	clicks    bigint NOT NULL,
	positions bigint NOT NULL,
	PRIMARY KEY (id, day)
);
INSERT INTO search.audit_exempt (table_name, reason) VALUES ('click', 'a count of clicks');
