-- floor: 1
-- Entries of op system that do more than report, version 1: what identity is made of, found among
-- millions that tell how far streams are, or who looked. Making it reads the log once; events wait
-- meanwhile.

CREATE INDEX log_acts ON log (tenant, idx)
    WHERE substring(entry FROM 50 FOR 15) = '","op":"system"'::bytea
    AND substring(entry FROM 74 FOR 17) <> 'stream.delivered"'::bytea
    AND substring(entry FROM 74 FOR 7) <> 'access.'::bytea;
