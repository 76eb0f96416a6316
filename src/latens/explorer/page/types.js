// The types of what the parts of the page give to one another. Nothing here runs.

/**
 * What a run is, as the page needs it: the answer of `/api/run`.
 * @typedef {object} RunInfo
 * @property {string} name
 * @property {string} model         with its options, such as "variational:beta=4"
 * @property {string} network
 * @property {string} status        "training", "stopped", "done", …
 * @property {string} data          what the images are called
 * @property {string} missing       why the run's own images can't be shown; empty where they are there
 * @property {[number, number, number]} shape  (C, H, W) of an image as it is shown; C is 1 for images of one channel, and 3 for all others
 * @property {[number, number, number]} network_shape  (C, H, W) as the networks take it
 * @property {number[][]|null} mix  the channels that are added up in each that is shown; null where they are the same
 * @property {string} show          the same as a look, see looks.js
 * @property {boolean} plain        whether images are ordinary grey ones of 8 bits, which need no other look
 * @property {number} latent_dim
 * @property {number} count         points of a map
 * @property {string} part          "test", or "all" where the test part is small
 * @property {number} train         images of the train part that can be placed on the maps; 0 where there are none, or these show them already
 * @property {number} train_of      images of the train part that the run has, of which a file may hold some only
 * @property {string} rows          what rows stand for: the same for the same images in the same order
 * @property {string[]} class_names empty without labels
 * @property {string[]} colours     "#rrggbb", one a class; of one where there are none
 * @property {string[]} maps        names, the best to start with first
 * @property {string[]} kept        those of the maps that need not be fitted first
 * @property {string[]} samplers    names; empty if the run has none
 * @property {string[]} ways        of paths
 * @property {ColumnInfo[]} columns what points can be coloured by
 * @property {ThumbnailInfo|null} thumbnails
 * @property {boolean} decodes      whether the model is available
 * @property {boolean} encodes      whether images of the user's can be encoded, see Source.encode
 * @property {string} note          a note about what is shown, or ""
 * @property {string} beside        the run that is shown beside it, or ""
 */

/**
 * What a run that is being made is at: the answer of `/api/phase`.
 * @typedef {object} Phase
 * @property {"training"|"latents"|"maps"|"scores"|"report"|"done"|"diverged"|"stopped"|"broken off"} phase  broken off: no process works on it, and it is not complete
 * @property {string} status   of the run
 * @property {string} error    why it diverged, or ""
 * @property {number} epoch    the last that has ended
 * @property {number} epochs   that were asked for
 * @property {boolean} stopping  whether the training is to end after its epoch
 * @property {boolean} mapped  whether there is a map to show
 * @property {{title: string, done: number, total: number}[]} work  the stages under way, where the server's own process makes the run
 */

/**
 * What the first picture needs: the answer of `/api/opening`, which comes before the model and the images are there.
 * @typedef {object} Opening
 * @property {string} name
 * @property {number} count         points of a map; 0 while there is none
 * @property {string[]} class_names empty without labels
 * @property {string[]} colours     as in RunInfo
 * @property {string} beside        as in RunInfo
 * @property {string} [map]         the name of the map that is in x and y, as in MapPoints with the rest; missing where none is kept
 * @property {Uint16Array} [x]
 * @property {Uint16Array} [y]
 * @property {Uint16Array} [labels] the class of each point
 */

/** Whose images are on the map: its own points ("test", the default), those of the train part, which are placed on it, or both, its own first. @typedef {"test"|"train"|"both"} Part */

/**
 * @typedef {object} ColumnInfo
 * @property {string} name
 * @property {string} title   in words
 * @property {"class"|"number"} kind
 * @property {string[]} names of the classes; empty for numbers
 * @property {string[]} colours of the classes, "#rrggbb" each
 * @property {string} unit
 * @property {"lower"|"higher"|""} better  which numbers are better, where that can be said
 */

/**
 * Thumbnails lie on square-celled sprite pages, row after row, point 0 first.
 * @typedef {object} ThumbnailInfo
 * @property {number} size     of a cell, pixels
 * @property {number} across   cells a row
 * @property {number} per_page cells a page
 * @property {number} pages
 */

/**
 * A map: places quantised to 16 bit. A place in the map's own units is left + x / 65535 * size, bottom + y / 65535 * size (y up).
 * @typedef {object} MapPoints
 * @property {string} name
 * @property {string} note
 * @property {number} left
 * @property {number} bottom
 * @property {number} size
 * @property {boolean} decodable    whether its places stand for latents
 * @property {Laid|null} laid       how it is laid onto the map of the run beside it: then left, bottom and size are in the units of that
 * @property {Uint16Array} x
 * @property {Uint16Array} y
 */

/**
 * How a map was laid onto another: a place p of its own lies at (p - origin) rotation scale + target.
 * @typedef {object} Laid
 * @property {[number, number][]} rotation
 * @property {number} scale
 * @property {[number, number]} origin
 * @property {[number, number]} target
 * @property {number} angle       degrees against the clock, after it was mirrored
 * @property {boolean} mirrored
 * @property {number} disparity   0 where the maps are then the same, 1 where they have nothing in common
 * @property {number} count       images that are on both
 */

/**
 * What links a run to the one beside it.
 * @typedef {object} Link
 * @property {Int32Array} rows      the row in the other run of each image, rows from -first on; none where that does not have it
 * @property {number} none
 * @property {number} first         images that are not on the map, which have rows below 0
 * @property {number} other_first   the same of the other run
 * @property {number} shared        images that both have
 * @property {number} mapped        images that are on both maps
 * @property {number} nearest       how many nearest images are compared
 * @property {string[]} notes       a sentence each
 * @property {ComparedScore[]} scores
 * @property {number[]} other_epochs  of which the other run has snapshots
 */

/**
 * A score of both runs.
 * @typedef {object} ComparedScore
 * @property {string} group       in words
 * @property {string} subject     the sampler, map or class that it is about, or ""
 * @property {string} name
 * @property {string} unit
 * @property {string} meaning
 * @property {[number|null, number|null]} values
 * @property {[[number, number]|null, [number, number]|null]} intervals
 * @property {[string, string]} protocols
 * @property {boolean} alike      whether both were measured in the same way
 * @property {"first"|"second"|""} better
 * @property {boolean} sure       whether their intervals do not overlap
 */

/**
 * Decoded latents: pictures and how far each lies from what the model knows.
 * @typedef {object} Decoded
 * @property {Uint8Array} pixels      n pictures (C, H, W), one after the other
 * @property {Float32Array} latents   n rows of D
 * @property {Float32Array} ratio     distance to the nearest real latent, in usual distances between neighbours; 1 is usual
 * @property {Float32Array} round_trip  |E(D(z)) - z| / |z|; NaN where the encoder is not available
 * @property {Float32Array} moved     |E(D(z)) - z| in usual distances between neighbours; NaN likewise
 * @property {Int32Array} nearest     the point whose latent is nearest
 * @property {Float32Array} places    n pairs (x, y) on the map asked for, in its units; empty where none was asked for
 * @property {Uint16Array} labels     the class of each, where it has one; else empty
 * @property {string} note            a note, or ""
 */

/** A stop of a path: images, by their rows, whose mean it is; or a place of a map, in the map's units. @typedef {number[]|{map: string, x: number, y: number}} Stop */

/** The steps of a path; stops: which of them are its stops. @typedef {Decoded & {stops: number[]}} Path */

/**
 * Where the directions lead in which the latents near a place vary most: the place's own latent, then for each direction its steps.
 * @typedef {Decoded & {around: number, steps: number[], shares: number[], arrows: number[]}} Compass
 * around: how many nearest latents that are; steps: in standard deviations along a direction; shares: of their variance, one a direction;
 * arrows: pairs (x, y) in the map's units, to where those of them lie on average that are the last of steps ahead
 */

/** A path that was named. lost: how many of its images are not here @typedef {{name: string, way: string, stops: Stop[], lost: number}} KeptPath */

/**
 * An image of the run.
 * @typedef {object} ImageInfo
 * @property {number} row            the point; below 0 for an image that is not on the map
 * @property {string} id
 * @property {number} label          -1 without labels
 * @property {number} error          mean squared error of its reconstruction
 * @property {Value[]} columns       what the table of the images says of it, and the user's own columns
 * @property {Uint8Array} pixels     empty where the images have gone
 * @property {Uint8Array} reconstruction
 * @property {Float32Array} latents  D numbers
 * @property {Int32Array} neighbours rows of the nearest other latents, nearest first
 * @property {Float32Array} distances theirs, in usual distances
 */

/**
 * An image of the user's, which the run does not have: read by the run's own size, fit, channels and range, encoded and placed. id: the file's name;
 * note: what was done to it, such as "colour images were turned into grey"; ratio, round_trip, moved and places: one each, of its reconstruction
 * @typedef {Omit<ImageInfo, "row"|"label"|"columns"> & Pick<Decoded, "ratio"|"round_trip"|"moved"|"places"|"note">} Given
 */

/** What a column says of an image. @typedef {{title: string, value: string|number|null, unit: string}} Value */

/**
 * @typedef {object} ChannelInfo
 * @property {string} name
 * @property {number} low    the stored number that is black
 * @property {number} high   the stored number that is white
 * @property {[number, number]} auto  shares of that range between which nearly all pixels lie
 */

/**
 * Where the page has everything from: a server (`server.js`), or the file it stands in (`offline.js`).
 * An answer that a newer request of the same kind has overtaken is null. What can't be had is an Error with words for a person.
 * @typedef {object} Source
 * @property {() => Promise<RunInfo>} run
 * @property {(part: Part) => void} among  whose images are neighbours from now on
 * @property {(look: string) => void} show  how images are given from now on, see looks.js; "" as the run shows them
 * @property {() => Promise<ChannelInfo[]>} channels
 * @property {(map: string, part?: Part) => Promise<MapPoints>} map
 * @property {(name: string, part?: Part) => Promise<Uint16Array|Float32Array>} column  one value an image of that part, in the order of `map`
 * @property {(page: number, part?: Part) => Promise<ImageBitmap>} thumbnails
 * @property {(row: number, id: string) => Promise<Uint8Array>} picture  the pixels of an image; as it is rebuilt, where they have gone
 * @property {(row: number) => Promise<ImageInfo>} image
 * @property {(id: string) => Promise<number>} find  the row of an image, by its id
 * @property {(words: string) => Promise<{row: number, id: string}[]>} search  images with these words in their ids, the likeliest first
 * @property {(rows: number[]) => Promise<Uint8Array>} pictures  the pixels of several images, one after the other; as rebuilt where they have gone
 * @property {(rows: number[]) => Promise<Int32Array>} classes  of images; -1 without
 * @property {(map: string, x: number, y: number) => Promise<Decoded|null>} decodeAt   x, y in the map's units
 * @property {(map: string, x: number, y: number) => Promise<Compass|null>} compass  x, y in the map's units
 * @property {(latents: Float32Array, map: string, dim: number) => Promise<Decoded|null>} decode     one or several rows of D
 * @property {(asked: {sampler: string, noise: number, unit: string, seed: number, map: string}) => Promise<Probe|null>} probe
 * @property {(asked: {stops: Stop[], way: string, steps: number, map: string}) => Promise<Path|null>} path
 * @property {() => Promise<KeptPath[]>} paths  those that were named
 * @property {(name: string, path: {stops: Stop[], way: string}|null) => Promise<KeptPath[]>} keepPath  name a path, or remove it for null; all of them then
 * @property {(row: number|null) => Promise<Directions>} directions  about a point's neighbours, or of all for null
 * @property {(file: File, map: string) => Promise<Given>} encode  an image file of the user's, placed on a map. Where RunInfo.encodes is false it can't be had.
 *   An Error says in one line why a file can't be used: that it is no image, has other channels, or is too large
 * @property {(latents: Float32Array, count: number) => Promise<{rows: Int32Array, distances: Float32Array}>} nearest  the points nearest to a latent, nearest first; in usual distances
 * @property {(rows: number[]) => Promise<Float32Array>} mean  of the latents of some images
 * @property {(rows: number[], map: string, format: "csv"|"parquet", part?: Part) => Promise<Blob>} table  what is known of images, as a file
 * @property {(kind: string) => Promise<Finding[]>} list  of images to check
 * @property {() => Promise<Link>} link  to the run that is shown beside this one
 * @property {() => Promise<OddImages>} odd  by the calibrated detector
 * @property {() => Promise<any>} history  of the training, with settings, scores and verdict
 * @property {(epoch: number) => Promise<Snapshot>} snapshot  of one of the epochs that it has
 */

/**
 * What only a server can answer, beside all of Source.
 * @typedef {object} Served
 * @property {(map: string) => Promise<Opening>} opening  with this map, if it is kept
 * @property {() => Promise<Tags>} tags
 * @property {(tag: string, ids: string[], on: boolean) => Promise<Tags & {change: string}>} tag  change: what it is called
 * @property {(change: string, undone: boolean) => Promise<Tags>} undoTag  take a change back, or do it again; the changes of others stay
 * @property {() => Promise<Blob>} tagsFile
 * @property {(points: number[]) => Promise<string[]>} ids
 * @property {() => Promise<{title: string, done: number, total: number}[]>} work  what is being fitted, and how far it is
 * @property {() => Promise<Phase>} phase
 * @property {() => Promise<Phase>} stop  the training after its epoch
 * @property {() => Promise<{epoch: number, pixels: Uint8Array, reconstructions: Uint8Array}>} live
 * @typedef {Source & Served} ServedSource
 */

/** The test latents of one epoch on a plane; at: the epoch that was asked for, of which this run may have kept none. @typedef {{epoch: number, at: number, x: Uint16Array, y: Uint16Array, labels?: Uint16Array}} Snapshot */

/**
 * Tags by name: the ids of their images, those that are points of the map, and the rows of all. colours: one a tag, and one for images of several.
 * @typedef {{tags: Record<string, string[]>, points: Record<string, number[]>, rows: Record<string, number[]>, colours: string[]}} Tags
 */

/**
 * @typedef {object} Finding
 * @property {string} kind
 * @property {string} id
 * @property {string} part
 * @property {string} label
 * @property {number} score
 * @property {string} suggested
 * @property {string} other_id
 * @property {number} point        its row: below 0 where the image is not on the map
 * @property {number} [p_value]    of odd images: the share of normal ones that are at least as odd
 * @property {boolean} [odd]       whether that is so small that it is called odd
 */

/**
 * The images that training did not see, the oddest first.
 * @typedef {object} OddImages
 * @property {number} images       all of them
 * @property {number} odd          that are called odd
 * @property {number} false_alarms the share of normal images that may be called odd
 * @property {number} calibration_images  normal ones, that p-values rest on
 * @property {string[]} notes
 * @property {Finding[]} found
 */

/**
 * Draws of a sampler: one picture for each class, and a cloud of more latents on the map.
 * @typedef {Decoded & {cloud: Float32Array, cloud_labels: Uint16Array, cloud_ratio: Float32Array, spreads: number[], scores: {name: string, value: number, unit: string, hint: string}[]}} Probe
 * the Decoded: one a class, or ten; cloud: pairs (x, y) on the map, in its units; cloud_ratio: as ratio; spreads: of classes whose noise can be set, in latent units; scores: in words
 */

/**
 * @typedef {object} Directions
 * @property {Float32Array} mean        D
 * @property {Float32Array} directions  rows of D, length 1
 * @property {Float32Array} deviations  standard deviation along each
 * @property {Float32Array} shares      of the whole variance
 * @property {Float32Array} lowest      D: what each unit can't go below; about -1e30 where there is no wall
 * @property {Float32Array} highest     D
 */

/**
 * Something drawn over the map; places are in the map's 16-bit units, fractions allowed.
 * @typedef {{kind: "dots", x: number[], y: number[], colour?: string, radius?: number, ring?: boolean}
 *   | {kind: "line", x: number[], y: number[], colour?: string, off?: boolean[], arrow?: boolean}
 *   | {kind: "cross"|"diamond", x: number[], y: number[], colour?: string}
 *   | {kind: "label", x: number[], y: number[], text: string[], weights?: number[], below?: number, colour?: string}} Mark
 *   below: so many pixels of the page below their places; weights: of labels; where there is room for one of two, the larger is shown. colour: "ink" is that of the text; off: which stretches of a line leave the data (drawn dashed), one a segment; arrow: it has a head at its end
 */

export {};
